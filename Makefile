PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Some machines forbid it by this variable; then every process, and tests start hundreds, compiles torch anew: 2.5 s each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test every-test lint style types format bench screenshots train-default cross-validate train-methods compare lock clean

## demo: estimate a scan that comes with the project, or E3POSE_DEMO_SCAN=file, and draw it before and after
demo: $(VENV)/installed
	$(BIN)/e3pose demo -o demo --overwrite $(if $(E3POSE_DEMO_SCAN),"$(E3POSE_DEMO_SCAN)")

## test: install everything into .venv (once) and run lint, format check and every test
test: $(VENV)/installed style
	$(MAKE) -j2 types every-test
# As many processes as there are cores: with threads of their own they would wait for each other.
every-test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

## lint: style, the arrows between layers (pyproject.toml), types
lint: style types
style: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=E3Pose $(BIN)/lint-imports --no-logo --no-cache
types: $(VENV)/installed
	$(BIN)/python -m mypy

## format: rewrite the code in the house style
format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/installed: requirements.lock pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	# Bytecode of the modules that are used comes with their first import; compiling all takes a minute.
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

## bench: what a convolution, the network and a training step cost; with MODEL=name SCAN="files" also whole poses
bench: $(VENV)/installed
	PYTHONPATH=Testing/benchmarks $(BIN)/python Testing/benchmarks/inference.py --plain $(if $(MODEL),--model $(MODEL)) \
	    $(if $(SCAN),--scan $(SCAN)) -o docs/images/benchmarks.png
	$(BIN)/python Testing/benchmarks/training_step.py --image_size 16 32

## screenshots: draw the pictures of the panel and its views: of the synthetic sample, or SCAN=file, by MODEL=name; and the first steps
screenshots: $(VENV)/installed
	$(BIN)/python Testing/host/screenshots.py $(SCAN) --model $(or $(MODEL),default)
	$(BIN)/python Testing/host/screenshots.py --steps E3Pose/Resources/FirstSteps/FirstSteps.png -o $(VENV)/screenshots

## train-default: make the built-in model from nothing (BRAINS=folder; hours); cross-validate: tune it (EPI=folder as well)
train-default: $(VENV)/installed
	$(MAKE) -f E3PoseTraining/recipe/default.mk PYTHON=$(BIN)/python model
cross-validate: $(VENV)/installed
	$(MAKE) -f E3PoseTraining/recipe/default.mk PYTHON=$(BIN)/python cross-validation

## compare: E(3)-Pose and other methods on synthetic scans made on the spot (BRAINS=folder; EPI=, T2=folder as well)
## train-methods: the networks among them, for compare to find (BRAINS=folder; hours)
compare: $(VENV)/installed
	$(MAKE) -f E3PoseTraining/comparison/compare.mk PYTHON=$(BIN)/python compare
train-methods: $(VENV)/installed
	$(MAKE) -f E3PoseTraining/comparison/compare.mk PYTHON=$(BIN)/python networks

## lock: pin the newest versions that every supported Python can use; torch brings its own CUDA packages
lock: $(VENV)/installed
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
	    --extra fetal-align --extra formats --extra live --extra training --extra slicer --extra test \
	    pyproject.toml > requirements.lock.all
	grep -v -E '^(nvidia-|triton|cuda-)' requirements.lock.all > requirements.lock
	rm requirements.lock.all

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
