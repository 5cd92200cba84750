# How the default model is made, stage by stage: make train-default BRAINS=…
# And what tuning it on clinical scans would gain, each fetus left out in turn: make cross-validate EPI=… BRAINS=…
#
# BRAINS is the folder of the label maps (Fidon et al., 2021), EPI that of clinical EPI scouts (.nii.gz; Hoffmann et al.,
# 2021) with landmarks.csv, whose second column is the fetus, and their poses, poses_ras.csv. Everything is written below
# WORK. A stage that is done is not done again; a training that was cut off goes on from its last epoch. Who makes a stage
# anew deletes the folders of all that come after it as well: a training goes on from its own last epoch even so, or is
# refused where its scans are others now.

# With KINDS=all the networks learn on every kind of scan that fetal MR groups have, not on EPI scouts alone, in a WORK of
# its own; TIMES then multiplies the number of scans, for each kind has fewer.

PYTHON ?= python3
# Of synthetic scans, with their shares (synthesize --kinds); none: EPI scouts. And flags of augmentation that go with them.
KINDS ?=
AUGMENT ?=
TIMES ?= 1
KINDS_WITH_SKULL := epi=6 t2-stack=6 t2-volume=4 bold=2 dwi=3
ALL_KINDS := $(KINDS_WITH_SKULL) brain-only=3
AUGMENT_OF_ALL := --max_passes 6 --shading 0.3
ifeq ($(KINDS),all)
override KINDS := $(ALL_KINDS)
AUGMENT := $(AUGMENT_OF_ALL)
WORK ?= build/all
endif
WORK ?= build/default
SEED ?= 1
WORKERS ?= 2
# Of the U-Nets' training: bf16-mixed saves a third of its time where the CPU has AMX, or a GPU is at hand.
PRECISION ?= 32-true
# Further flags of every training for the machine at hand, such as "--num_workers 14 --memory_gb 30" beside a GPU.
MACHINE ?=
# What is tuned. Name the model that comes with the project, E3Pose/Resources/Models/default.safetensors, to make none.
BASE ?= $(WORK)/default.safetensors
RECIPE := $(dir $(lastword $(MAKEFILE_LIST)))
MAPS = $(or $(BRAINS),$(error BRAINS is not given: name the folder of the label maps))
SCOUTS = $(or $(EPI),$(error EPI is not given: name the folder of the clinical scouts))
FETUSES := $(if $(EPI),$(shell awk -F, 'NR > 1 { print $$2 }' $(EPI)/landmarks.csv | sort -u))
RUN := $(PYTHON) -m E3PoseTraining
SYNTHESIZE = $(RUN).synthesize --brains $(MAPS) --workers $(WORKERS) -o $(@D) $(if $(KINDS),--kinds $(KINDS))
LEARN_BY = --resume auto --seed $(SEED) $(1) $(MACHINE)
LEARN = $(call LEARN_BY,$(AUGMENT))
PARTS = $(<D)/images $(<D)/labels $<
UNSEEN = $(addprefix $(WORK)/$(1)_unseen/,images labels annotations.csv)

.PHONY: model tuned cross-validation untuned
# All that a pattern makes is kept.
.PRECIOUS: $(WORK)/e3cnn_without_%/e3cnn.pth $(WORK)/model_%.safetensors

model: $(WORK)/default.safetensors
tuned: $(WORK)/model_tuned.safetensors

# Synthetic heads for the rotation network; whole scans, and some of the heads, for the U-Net; unseen ones to validate on.
# Small heads are the hardest to find and to read: there are more of them than a uniform age would give.
YOUNG := --age 20 26
$(WORK)/heads/annotations.csv:
	$(SYNTHESIZE) --field head --n $$((3000 * $(TIMES))) --seed $(SEED)01
$(WORK)/heads_young/annotations.csv:
	$(SYNTHESIZE) --field head --n $$((1500 * $(TIMES))) --seed $(SEED)05 $(YOUNG)
$(WORK)/heads_second/annotations.csv:
	$(SYNTHESIZE) --field head --n $$((3000 * $(TIMES))) --seed $(SEED)07
$(WORK)/heads_second_young/annotations.csv:
	$(SYNTHESIZE) --field head --n $$((1500 * $(TIMES))) --seed $(SEED)08 $(YOUNG)
$(WORK)/heads_third/annotations.csv:
	$(SYNTHESIZE) --field head --n $$((3000 * $(TIMES))) --seed $(SEED)09
$(WORK)/heads_third_young/annotations.csv:
	$(SYNTHESIZE) --field head --n $$((1500 * $(TIMES))) --seed $(SEED)10 $(YOUNG)
# Brains without skull, for the rotation network that sees them alone; coarse, as networks see voxels of 3 mm.
BRAINS_ALONE := --field head --kinds brain-only=1 --spacing 1.2
$(WORK)/brains_alone/annotations.csv:
	$(SYNTHESIZE) $(BRAINS_ALONE) --n $$((1100 * $(TIMES))) --seed 60$(SEED)
$(WORK)/brains_alone_second/annotations.csv:
	$(SYNTHESIZE) $(BRAINS_ALONE) --n $$((1100 * $(TIMES))) --seed 60$$(($(SEED) + 2))
$(WORK)/brains_alone_unseen/annotations.csv:
	$(SYNTHESIZE) $(BRAINS_ALONE) --n 60 --seed 70$(SEED)
# Of every kind, for the upright network and the second opinion, whatever the others learn on; and more of those kinds of heads
# that are the hardest to read. A brain alone has no second opinion.
EVERY_KIND := --kinds $(KINDS_WITH_SKULL)
HARD_KINDS := --kinds t2-stack=2 t2-volume=1 dwi=3
$(WORK)/heads_every/annotations.csv:
	$(SYNTHESIZE) --field head $(EVERY_KIND) --n $$((1400 * $(TIMES))) --seed 40$(SEED)
$(WORK)/heads_hard/annotations.csv:
	$(SYNTHESIZE) --field head $(HARD_KINDS) --n $$((600 * $(TIMES))) --seed 80$$(($(SEED) + 1))
$(WORK)/heads_every_unseen/annotations.csv:
	$(SYNTHESIZE) --field head $(EVERY_KIND) --n 60 --seed 40$$(($(SEED) + 1))
$(WORK)/scans_every/annotations.csv:
	$(SYNTHESIZE) --kinds epi=2 t2-stack=6 t2-volume=4 bold=2 dwi=4 --n $$((980 * $(TIMES))) --seed 80$(SEED)
$(WORK)/scans_every_unseen/annotations.csv:
	$(SYNTHESIZE) $(EVERY_KIND) --n 20 --seed 80$$(($(SEED) + 2))
$(WORK)/heads_unseen/annotations.csv:
	$(SYNTHESIZE) --field head --n 60 --seed $(SEED)02
$(WORK)/scans/annotations.csv:
	$(SYNTHESIZE) --n $$((2500 * $(TIMES))) --seed $(SEED)03
$(WORK)/scans_young/annotations.csv:
	$(SYNTHESIZE) --n $$((800 * $(TIMES))) --seed $(SEED)06 $(YOUNG)
$(WORK)/scans_unseen/annotations.csv:
	$(SYNTHESIZE) --n 40 --seed $(SEED)04
# What the confidence is calibrated on: every kind, and seeds that no network has seen.
$(WORK)/calibration/annotations.csv:
	$(RUN).synthesize --brains $(MAPS) --workers $(WORKERS) -o $(@D) --n $$((900 * $(TIMES))) --seed $(SEED)11 \
	    --kinds $(ALL_KINDS)
TABLES = $(patsubst %,$(WORK)/%/annotations.csv,$(1))
# Files of several folders in one, by links: of heads with all scans the first 300.
$(WORK)/all_heads/annotations.csv: $(call TABLES,heads heads_young)
$(WORK)/all_second/annotations.csv: $(call TABLES,heads_second heads_second_young)
$(WORK)/all_brains_alone/annotations.csv: $(call TABLES,brains_alone brains_alone_second)
$(WORK)/all_every/annotations.csv: $(call TABLES,heads_every heads_hard)
$(WORK)/all_later/annotations.csv: $(call TABLES,heads_second heads_second_young heads_third heads_third_young)
$(call TABLES,all_heads all_second all_later all_brains_alone all_every):
	rm -rf $(@D) && mkdir -p $(@D)/images $(@D)/labels
	for folder in $(^:/annotations.csv=); do for files in images labels; do \
	    ln $$folder/$$files/*.nii.gz $(@D)/$$files || exit 1; done; done
	awk 'NR == 1 || FNR > 1' $^ > $@
$(WORK)/all_scans/annotations.csv: $(call TABLES,scans scans_young heads)
	rm -rf $(@D) && mkdir -p $(@D)/images $(@D)/labels
	for folder in images labels; do ln $(WORK)/scans/$$folder/* $(WORK)/scans_young/$$folder/* \
	    $(WORK)/heads/$$folder/*_00[0-2]??.nii.gz $(@D)/$$folder || exit 1; done
	cp $< $@

# The networks learn from synthetic scans alone, each in one process: two of them are trained at a time by make -j2.
# The U-Net first from cubes of 192 mm, which cost a third, then from 288 mm, in which nearly all of the mother is seen, and
# at last with twice the features, each beginning as one of a pair.
LEARN_UNET = $(RUN).train_unet $(<D)/images $(<D)/labels $(WORK)/scans_unseen/images $(WORK)/scans_unseen/labels $(@D) \
    --config $(RECIPE)unet.yaml $(LEARN) --precision $(PRECISION)
WIDE := --crop_size 96 --translation 50
$(WORK)/unet_narrow/unet.ckpt: $(WORK)/all_scans/annotations.csv $(WORK)/scans_unseen/annotations.csv
	$(LEARN_UNET) --unet_feat 8
$(WORK)/unet_small/unet.ckpt: $(WORK)/all_scans/annotations.csv $(WORK)/unet_narrow/unet.ckpt
	$(LEARN_UNET) --unet_feat 8 --init $(WORK)/unet_narrow/unet.ckpt $(WIDE) --n_epochs 2 --lr 0.002
$(WORK)/unet/unet.ckpt: $(WORK)/all_scans/annotations.csv $(WORK)/unet_small/unet.ckpt
	$(LEARN_UNET) --init $(WORK)/unet_small/unet.ckpt $(WIDE) --n_epochs 4 --lr 0.0015 --ema 0.995
# The closer look and the rotation network in stages too: a later one begins with the network before, from a higher learning
# rate than that ended with, on other heads or in another order. They are as right without, and less sure of what they
# have not learned from: clinical scans, and brains without a skull.
LEARN_EYES = $(RUN).train_unet $(<D)/images $(<D)/labels $(WORK)/heads_unseen/images $(WORK)/heads_unseen/labels $(@D) \
    --config $(RECIPE)eyes.yaml $(LEARN) --precision $(PRECISION)
$(WORK)/eyes_first/unet.ckpt: $(call TABLES,all_heads heads_unseen)
	$(LEARN_EYES)
$(WORK)/eyes/unet.ckpt: $(call TABLES,all_second heads_unseen) $(WORK)/eyes_first/unet.ckpt
	$(LEARN_EYES) --init $(WORK)/eyes_first/unet.ckpt --lr 0.002 --n_epochs 3 --seed $$(($(SEED) + 1))
$(WORK)/upright_first/unet.ckpt: $(call TABLES,all_heads heads_unseen) $(WORK)/eyes_first/unet.ckpt
	$(RUN).train_unet $(PARTS) $(call UNSEEN,heads) $(@D) --config $(RECIPE)upright.yaml $(LEARN) --precision $(PRECISION) \
	    --init $(WORK)/eyes_first/unet.ckpt
# On heads of every kind, and further off, it learns to tell each voxel's place in the head as well; at last less far off
# and with places that weigh less, for the eyes to be as exact as they were.
EVERY = $(call LEARN_BY,$(AUGMENT_OF_ALL))
LEARN_PLACES = $(RUN).train_unet $(PARTS) $(call UNSEEN,heads_every) $(@D) --config $(RECIPE)upright.yaml $(EVERY) \
    --precision $(PRECISION)
FURTHER_OFF := --places 2 --rotation 35 --lr 0.003
$(WORK)/upright_second/unet.ckpt: $(call TABLES,heads_every heads_every_unseen) $(WORK)/upright_first/unet.ckpt
	$(LEARN_PLACES) $(FURTHER_OFF) --init $(WORK)/upright_first/unet.ckpt --n_epochs 8
$(WORK)/upright_third/unet.ckpt: $(call TABLES,all_every heads_every_unseen) $(WORK)/upright_second/unet.ckpt
	$(LEARN_PLACES) $(FURTHER_OFF) --init $(WORK)/upright_second/unet.ckpt --n_epochs 5 --seed $$(($(SEED) + 1))
$(WORK)/upright/unet.ckpt: $(call TABLES,all_every heads_every_unseen) $(WORK)/upright_third/unet.ckpt
	$(LEARN_PLACES) --places 1 --rotation 25 --lr 0.002 --init $(WORK)/upright_third/unet.ckpt --n_epochs 9 \
	    --seed $$(($(SEED) + 2))
LEARN_E3CNN = $(RUN).train_e3cnn $(PARTS) $(call UNSEEN,$(1)) $(@D) --config $(RECIPE)e3cnn.yaml $(LEARN)
$(WORK)/e3cnn_first/e3cnn.pth: $(call TABLES,all_heads heads_unseen)
	$(call LEARN_E3CNN,heads)
$(WORK)/e3cnn_second/e3cnn.pth: $(call TABLES,all_heads heads_unseen) $(WORK)/e3cnn_first/e3cnn.pth
	$(call LEARN_E3CNN,heads) --init $(WORK)/e3cnn_first/e3cnn.pth --lr 0.01 --n_epochs 4 --seed $$(($(SEED) + 1))
$(WORK)/e3cnn/e3cnn.pth: $(call TABLES,all_later heads_unseen) $(WORK)/e3cnn_second/e3cnn.pth
	$(call LEARN_E3CNN,heads) --init $(WORK)/e3cnn_second/e3cnn.pth --lr 0.012 --n_epochs 8 --seed $$(($(SEED) + 2))
LEARN_BRAINS_ALONE = $(call LEARN_E3CNN,brains_alone) --lr 0.01 --export last
$(WORK)/e3cnn_brains_alone_first/e3cnn.pth: $(call TABLES,brains_alone brains_alone_unseen) $(WORK)/e3cnn/e3cnn.pth
	$(LEARN_BRAINS_ALONE) --init $(WORK)/e3cnn/e3cnn.pth --n_epochs 9
$(WORK)/e3cnn_brains_alone/e3cnn.pth: $(call TABLES,all_brains_alone brains_alone_unseen) \
    $(WORK)/e3cnn_brains_alone_first/e3cnn.pth
	$(LEARN_BRAINS_ALONE) --init $(WORK)/e3cnn_brains_alone_first/e3cnn.pth --n_epochs 8 --seed $$(($(SEED) + 1))

# The second opinion: copies of three networks of whole scans went on learning from every kind of scan. The upright one
# has learned from them already.
LEARN_UNET_AGAIN = $(RUN).train_unet $(<D)/images $(<D)/labels $(addprefix $(WORK)/$(1)_unseen/,images labels) $(@D) \
    $(EVERY) --precision $(PRECISION)
$(WORK)/second_unet/unet.ckpt: $(call TABLES,scans_every scans_every_unseen) $(WORK)/unet/unet.ckpt
	$(call LEARN_UNET_AGAIN,scans_every) --config $(RECIPE)unet.yaml --init $(WORK)/unet/unet.ckpt $(WIDE) --n_epochs 4 \
	    --lr 0.0015 --ema 0.995
$(WORK)/second_eyes/unet.ckpt: $(call TABLES,heads_every heads_every_unseen) $(WORK)/eyes/unet.ckpt
	$(call LEARN_UNET_AGAIN,heads_every) --config $(RECIPE)eyes.yaml --init $(WORK)/eyes/unet.ckpt --n_epochs 4 --lr 0.002
$(WORK)/second_e3cnn/e3cnn.pth: $(call TABLES,all_every heads_every_unseen) $(WORK)/e3cnn/e3cnn.pth
	$(RUN).train_e3cnn $(PARTS) $(call UNSEEN,heads_every) $(@D) --config $(RECIPE)e3cnn.yaml $(EVERY) \
	    --init $(WORK)/e3cnn/e3cnn.pth --n_epochs 6 --lr 0.01 --export last
# What make makes anew is replaced, as all else.
JOIN = $(RUN).models.join --overwrite --unet $(word 1,$^) --e3cnn $(word 2,$^) --eyes $(word 3,$^) --upright $(word 4,$^)
$(WORK)/second.safetensors: $(WORK)/second_unet/unet.ckpt $(WORK)/second_e3cnn/e3cnn.pth $(WORK)/second_eyes/unet.ckpt \
    $(WORK)/upright/unet.ckpt
	$(JOIN) -o $@

$(WORK)/uncalibrated/default.safetensors: $(WORK)/unet/unet.ckpt $(WORK)/e3cnn/e3cnn.pth $(WORK)/eyes/unet.ckpt \
    $(WORK)/upright/unet.ckpt $(WORK)/e3cnn_brains_alone/e3cnn.pth $(WORK)/second.safetensors
	mkdir -p $(@D)
	$(JOIN) --brain_only $(word 5,$^) --second_opinion $(word 6,$^) -o $(WORK)/joined.safetensors
	$(RUN).models.card --overwrite $(WORK)/joined.safetensors $(RECIPE)card.yaml -o $@

# With what the answers are worth; collected twice, as which of several poses is taken depends on the calibration. Tables
# of other scans go into FURTHER, each counts twice; those of real scans whose landmarks a hand has set into LANDMARKS,
# once `calibrate collect` has made them by WORK/calibrated_first.safetensors.
FURTHER ?=
LANDMARKS ?=
CALIBRATE = $(RUN).calibrate fit $(1) $(FURTHER) --weight 1 $(FURTHER:%=--weight 2) --half \
    $(LANDMARKS:%=--landmarks %) --overwrite
# Status 1 tells of scans that cannot be used: the table lacks them.
COLLECT = $(RUN).calibrate collect $(WORK)/calibration/images $(WORK)/calibration/poses_ras.csv -o $@ --model $< \
    --copies 1 --labels $(WORK)/calibration/labels --strange 15 --workers $(WORKERS) --overwrite || [ $$? -eq 1 ]
$(WORK)/evidence_first.csv: $(WORK)/uncalibrated/default.safetensors $(WORK)/calibration/annotations.csv
	$(COLLECT)
$(WORK)/calibrated_first.safetensors: $(WORK)/evidence_first.csv
	$(call CALIBRATE,$<) --model $(WORK)/uncalibrated/default.safetensors -o $@
$(WORK)/evidence.csv: $(WORK)/calibrated_first.safetensors $(WORK)/calibration/annotations.csv
	$(COLLECT)
$(WORK)/default.safetensors: $(WORK)/evidence.csv
	$(call CALIBRATE,$<) --model $(WORK)/uncalibrated/default.safetensors --pictures $(WORK)/reliability -o $@

# The clinical scans, and synthetic heads with them; a data set is renamed when it is whole.
$(WORK)/epi/annotations.csv:
	rm -rf $(@D) $(@D).part
	$(RUN).prepare epi $(SCOUTS) -o $(@D).part
	mv $(@D).part $(@D)
$(WORK)/mixed_heads/annotations.csv: $(WORK)/heads/annotations.csv $(WORK)/epi/annotations.csv
	rm -rf $(@D) $(@D).part
	$(RUN).prepare mix $(<D) $(WORK)/epi --repeats 15 --limit 220 --validation 20 -o $(@D).part
	mv $(@D).part $(@D)

# Few epochs on the mixture: enough to see how clinical scans look, too few to learn fifteen of them by heart. Their
# labels are ellipsoids upright in the head's frame: no border may follow them, it would tell the answer. Of the clinical
# scans the rotation network sees all, or all but those of one fetus.
TUNE = $(RUN).train_e3cnn $(PARTS) $(@D) --config $(RECIPE)e3cnn.yaml $(LEARN) --export last --surroundings 0 \
    --n_epochs 2 --lr 0.005 --init $(BASE)
$(WORK)/e3cnn_tuned/e3cnn.pth: $(WORK)/mixed_heads/annotations.csv $(BASE)
	$(TUNE) --val_fold val
$(WORK)/e3cnn_without_%/e3cnn.pth: $(WORK)/mixed_heads/annotations.csv $(BASE)
	$(TUNE) --val_fold $*
$(WORK)/model_%.safetensors: $(WORK)/e3cnn_%/e3cnn.pth $(BASE)
	$(RUN).models.join --overwrite $(foreach part,unet eyes upright brain_only second_opinion,--$(part) $(BASE)) --e3cnn $< -o $@

# What tuning gains: each scan's pose by networks that have seen no scan of that fetus, and by those that were not tuned.
# A scan in which no head is found, which status 1 tells, counts as a failure there. ESTIMATE takes the scans whose row
# of landmarks.csv meets a condition.
ESTIMATE = $(PYTHON) -m E3PoseLib estimate -o $(@D) --model $< \
    $$(awk -F, '$(1) { print "$(SCOUTS)/" $$1 ".nii.gz" }' $(SCOUTS)/landmarks.csv) || [ $$? -eq 1 ]
EVALUATE = $(PYTHON) -m E3PoseLib evaluate --truth $(SCOUTS)/poses_ras.csv --images $(SCOUTS) \
    --threshold 15/10 30/15 --worst 15 --overwrite
$(WORK)/cross_validation/%.done: $(WORK)/model_without_%.safetensors
	$(call ESTIMATE,$$2 == "$*")
	touch $@
$(WORK)/untuned/all.done: $(BASE)
	$(call ESTIMATE,NR > 1)
	touch $@
untuned: $(WORK)/untuned/all.done
	$(EVALUATE) --poses $(WORK)/untuned -o $(WORK)/accuracy_untuned
cross-validation: $(FETUSES:%=$(WORK)/cross_validation/%.done) untuned
	$(EVALUATE) --poses $(WORK)/cross_validation -o $(WORK)/accuracy
