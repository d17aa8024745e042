/* ae_lip_model.h - the numbers of the lip-sync estimator: two linear projections and a confidence.
 *
 * Method: time-embedded canonical correlation (Hotelling 1936): `components` pairs of projections,
 * one of the sound's features over some taps of time, one of the mouth's signals, such that the two
 * results of a pair go together with the correlation `weight` when sound and picture are in step.
 * The confidence is a logistic function of the cues (ae_lip_confidence).
 * Two trained models are built in (ae_lipsync_weights.h): all six mouth signals, and the lip gap
 * alone; two more are set by hand: rising sound with opening lips, the first formant's share of the
 * sound with the gap, loudness with motion. Thread: any; constants only. */
#ifndef AE_LIP_MODEL_H
#define AE_LIP_MODEL_H

#include "ae_common.h"

/* ffi:begin */
enum {
    AE_LIP_FEATURES = 24,       /* of the sound: mel bands in dB, see ae_lip_audio.h */
    AE_LIP_MAX_SIGNALS = 8,     /* of the mouth */
    AE_LIP_MAX_COMPONENTS = 24, /* pairs of projections */
    AE_LIP_MAX_TAPS = 21,
    AE_LIP_MAX_REACH = 60, /* 10 ms frames from the middle tap to the last: 0.6 s */
    AE_LIP_CUES = 5,       /* see ae_lip_confidence.h */
};

typedef struct {
    int mouth_signals, components;
    int motion;                 /* which signal is the difference of two pictures; -1: none */
    int audio_taps, mouth_taps; /* odd: centred */
    int audio_step, mouth_step; /* 10 ms frames between taps, even */
    const float *audio;         /* [component][tap][AE_LIP_FEATURES] */
    const float *mouth;         /* [component][tap][signal] */
    const float *weight;        /* [component], each 0 .. 1 */
    const float *confidence;    /* bias, then one for each cue */
    float bias_ms;              /* what the projections find when sound and picture are in step */
} ae_lip_model;

/* The built-in model for 1 signal (the lip gap over the distance between the eyes) or for 6 (gap,
 * width, area, outer height, chin, motion); NULL for another number. */
const ae_lip_model *ae_lip_model_trained(int mouth_signals);
const ae_lip_model *ae_lip_model_untrained(int mouth_signals);
/* 1 when every field is in its range and every number finite. */
int ae_lip_model_is_valid(const ae_lip_model *self);
/* ffi:end */

/* A copy with its tables in `arena`; only counted while the arena measures. */
ae_lip_model ae_lip_model_copy(const ae_lip_model *self, ae_arena *arena);

#endif
