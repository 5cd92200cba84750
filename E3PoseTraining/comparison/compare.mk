# The methods that are compared: what they are trained on, their templates, and the comparison itself. Every step goes on
# where an interrupt left it.
#   make train-methods BRAINS=folder                       networks side by side, WORK/networks/METHOD.safetensors, then
#                                                          two ablations of the augmentation and equitrack,
#                                                          WORK/networks-METHOD/, and the localisers, WORK/localisers/
#   make compare BRAINS=folder [EPI=folder] [T2=folder]    tables and figures in WORK/synthetic, WORK/epi, WORK/t2

PYTHON ?= python3
WORK ?= build/methods
WORKERS ?= 2
# Methods that are compared at a time: each loads networks of its own, and all share a GPU.
AT_ONCE ?= 2
HEADS ?= 1600
SCANS ?= 200
EPOCHS ?= 8
KINDS := epi=6 t2-stack=6 t2-volume=4 bold=2 dwi=3 brain-only=3
RUN := $(PYTHON) -m E3PoseTraining
SYNTHESIZE = $(RUN).synthesize $(if $(BRAINS),--brains "$(BRAINS)") --workers $(WORKERS)
HERE := $(dir $(lastword $(MAKEFILE_LIST)))

TRAIN = $(RUN).train_methods $(foreach side,heads heads_val,$(addprefix $(WORK)/$(side)/,images labels annotations.csv))
TRAINED = --config $(HERE)../recipe/e3cnn.yaml --n_epochs $(EPOCHS) --export last --resume auto
# Ablations of the augmentation.
OTHER_CROPS := e3cnn-no-spin-history e3cnn-no-low-resolution

OTHER_FRAMES := equitrack

.PHONY: networks side-by-side $(OTHER_CROPS) $(OTHER_FRAMES) localisers compare synthetic epi t2

# Every network of rotation sees the same scans in the same order.
networks: side-by-side $(OTHER_CROPS) $(OTHER_FRAMES) localisers
side-by-side: $(WORK)/heads/annotations.csv $(WORK)/heads_val/annotations.csv
	$(TRAIN) $(WORK)/networks $(TRAINED)
$(OTHER_CROPS): $(WORK)/heads/annotations.csv $(WORK)/heads_val/annotations.csv
	$(TRAIN) $(WORK)/networks-$@ $(TRAINED) --methods $@
$(OTHER_FRAMES): $(WORK)/heads/annotations.csv $(WORK)/heads_val/annotations.csv
	$(TRAIN) $(WORK)/networks-$@ $(TRAINED) --lr 0.01 --methods $@
# Of upright heads there are enough in fewer epochs; their cubes are larger.
localisers: $(WORK)/heads/annotations.csv $(WORK)/heads_val/annotations.csv
	$(TRAIN) $(WORK)/localisers $(TRAINED) --methods e3nn-unet plain-unet --image_size 32 --kernel_size 5 --shift 12 \
	    --batch_size 2 --n_epochs 1
$(WORK)/heads/annotations.csv:
	$(SYNTHESIZE) --field head --kinds $(KINDS) --n $(HEADS) --seed 401 -o $(@D)
$(WORK)/heads_val/annotations.csv:
	$(SYNTHESIZE) --field head --kinds $(KINDS) --n 40 --seed 402 -o $(@D)

$(WORK)/upright/annotations.csv:
	$(SYNTHESIZE) --field head --kinds epi t2-volume --motion 0 --n 240 --seed 403 -o $(@D)
$(WORK)/templates/templates.json: $(WORK)/upright/annotations.csv
	$(RUN).make_templates $(WORK)/upright -o $(@D)
$(WORK)/scans/annotations.csv:
	$(SYNTHESIZE) --kinds $(KINDS) --n $(SCANS) --seed 404 -o $(@D)

# FLAGS=--overwrite makes results anew that were made with other templates, weights or models.
# All methods but those that lack a package or their weights: networks that are not trained yet and of which none come with
# the project.
LEARNED := $(wildcard $(WORK)/networks*/*.safetensors)
FLAGS ?=
COMPARE = $(PYTHON) -m E3PoseLib compare $(FLAGS) -o $(WORK)/$@ --templates $(WORK)/templates --workers $(AT_ONCE) \
    $(if $(LEARNED),--weights $(foreach file,$(LEARNED),$(basename $(notdir $(file)))=$(file)))
# Status 1 tells of a method that could not go on; its words stand below the table, and the next set is compared.
GO_ON = || [ $$? -eq 1 ]
compare: synthetic $(if $(EPI),epi) $(if $(T2),t2)
synthetic: $(WORK)/scans/annotations.csv $(WORK)/templates/templates.json
	$(COMPARE) --images $(WORK)/scans/images --truth $(WORK)/scans/poses_ras.csv --age $(WORK)/scans/scans.csv $(GO_ON)
epi: $(WORK)/templates/templates.json
	$(COMPARE) --images "$(EPI)" --truth "$(EPI)/poses_ras.csv" --age "$(EPI)/landmarks.csv" \
	    --fetuses "$(EPI)/landmarks.csv" $(GO_ON)
# Their ages are not told: late gestation.
t2: $(WORK)/templates/templates.json
	$(COMPARE) --images "$(T2)" --truth "$(T2)/../uterus_poses_ras.csv" --age 36 $(GO_ON)
