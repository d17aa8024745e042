/* ae_lipsync.h - how late the sound of a talking face is against its picture.
 *
 * SIGN: offset_ms > 0 means THE AUDIO IS LATE: it comes offset_ms after the mouth movement that
 * made it. ITU-R BT.1359 and EBU R37 print the opposite sign.
 *
 * Method: features of the sound (ae_lip_audio) and signals of the mouth (ae_lip_mouth) of the
 * newest window on a grid of 10 ms, projected and correlated at every lag (ae_lip_score); a
 * logistic confidence from cues of the window (ae_lip_confidence); once a second of the stream the
 * estimate feeds a tracker of offset and drift (ae_lip_track), and after a step of the offset the
 * window begins anew. Older frames count less, by exp(-age / 20 s).
 *
 * Sound and mouth may come in any pieces and up to AE_LIPSYNC_APART_S apart; the estimate does not
 * depend on how, to the last bit. Both carry time stamps of one clock. An estimate is of the newest
 * instant that both have reached.
 * Cost at 48 kHz with six signals and an estimate a second: 0.21 % of a core, 0.15 % with AVX2, of
 * which the sound's features are two thirds (benchmarks/lip_sync_cost.py). Memory: 4 MB with a
 * window of 20 s. No allocation after create. */
#ifndef AE_LIPSYNC_H
#define AE_LIPSYNC_H

#include "ae_lip_confidence.h"
#include "ae_lip_model.h"

/* ffi:begin */
typedef struct ae_lipsync ae_lipsync;

enum { AE_LIPSYNC_APART_S = 60 };

typedef struct {
    int sample_rate_hz;        /* 8000 .. 192000 */
    float window_s;            /* 5 .. 60 */
    float max_lag_ms;          /* 300 .. 2500: lags are searched to either side */
    const ae_lip_model *model; /* copied at create */
} ae_lipsync_config;

typedef struct {
    double offset_ms;                /* > 0: the audio is late; NaN: unknown */
    double confidence;               /* 0 .. 1: chance that the error is below 80 ms */
    double drift_ms_per_s;           /* slope of the offset; NaN before it is known */
    int reason;                      /* ae_lip_reason */
    int steps;                       /* of the offset, found since the start */
    double time_s;                   /* end of the window; NaN before there is one */
    double span_s, face_s, voiced_s; /* of the window: all, with a face, with face and voice */
    double cues[5];     /* AE_LIP_CUE_..., what the confidence is made of; NaN: no score */
    int64_t non_finite; /* broken samples of the sound since create or reset */
} ae_lipsync_report;

ae_lipsync_config ae_lipsync_default_config(int sample_rate_hz);
ae_status ae_lipsync_create(ae_lipsync **out, const ae_lipsync_config *config);
void ae_lipsync_destroy(ae_lipsync *self);
void ae_lipsync_reset(ae_lipsync *self);
/* Any number of frames, one channel, of which the first is at time_s; NaN: the stream goes on. What
 * stamps say is in ae_lip_audio.h. */
void ae_lipsync_push_audio(ae_lipsync *self, const float *in, int frames, double time_s);
/* `count` samples with finite time stamps, of which those that do not increase are left out, and
 * more than 1 s back start anew: [count][mouth_signals]; a non-finite value: no face in that
 * picture. */
void ae_lipsync_push_mouth(ae_lipsync *self, const double *time_s, const float *mouth, int count);
/* The next mouth sample belongs to another shot. */
void ae_lipsync_cut(ae_lipsync *self);
/* Estimate from the newest window. */
void ae_lipsync_read(ae_lipsync *self, ae_lipsync_report *out);
/* Copy the lags and scores of the newest window, up to `capacity` of them, and return how many
 * there are; 0 where there is no score. */
int ae_lipsync_curve(ae_lipsync *self, double *lags_ms, double *scores, int capacity);
/* ffi:end */

#endif
