/* ae_lip_confidence.h - how sure a lip-sync estimate is, and why it is not.
 *
 * Method: the chance that the error is below 80 ms is a logistic function of cues of the window,
 * fitted on windows with a known offset and on ones that have none (dubbed, music, silence). Before
 * that, a window that cannot answer is named for what it lacks. A frame counts as voiced when its
 * level is above -60 dBFS and 6 dB above the window's floor, its 10th percentile (bins of 1 dB):
 * under music little of a voice does, so the lack of it is a reason only where there is no answer.
 * No allocation; thread: any. */
#ifndef AE_LIP_CONFIDENCE_H
#define AE_LIP_CONFIDENCE_H

#include "ae_lip_model.h"

/* ffi:begin */
typedef enum {
    AE_LIP_ANSWER = 0,
    AE_LIP_TOO_SHORT = 1, /* less than 2.8 s of both */
    AE_LIP_NO_FACE = 2,   /* in less than half of the window */
    AE_LIP_NO_SPEECH = 3, /* less than 0.8 s voiced with a face, and no answer without it */
    AE_LIP_FROZEN = 4,    /* the mouth does not move */
    AE_LIP_DUBBED = 5,    /* much speech, much face, and they do not go together */
    AE_LIP_AMBIGUOUS = 6,
} ae_lip_reason;

/* Cues, in the order of the model's coefficients. */
enum {
    AE_LIP_CUE_CONTRAST = 0, /* (peak - second) / peak */
    AE_LIP_CUE_LEVEL = 1,    /* the peak's score */
    AE_LIP_CUE_FACE = 2,     /* ln of the seconds with a face */
    AE_LIP_CUE_HALVES = 3,   /* how near each half of the window is to its own peak there, 0 .. 1 */
    AE_LIP_CUE_VOICE = 4,    /* ln of the seconds of voice with a face */
};
/* ffi:end */

typedef struct {
    double span_s, face_s; /* the window, and of it with a face */
    double loud_s;         /* with a face and sound above -60 dBFS */
    double voiced_s;       /* and of that 6 dB above the floor */
    double floor_dbfs;     /* 10th percentile of the level */
} ae_lip_presence;

/* From `frames` rows of AE_LIP_ROW and the weights of the mouth's rows (> 0: a face). */
void ae_lip_presence_of(const float *audio_rows, const float *weights, int frames,
                        ae_lip_presence *out);
/* ln of a time, of 0.5 s at least. */
double ae_lip_log_seconds(double seconds);
/* The logistic function of the cues; NaN in a cue gives 0. */
double ae_lip_confidence(const float *coefficients, const double *cues);
/* What the window lacks, AE_LIP_ANSWER when nothing; before a score is worth its time. */
ae_lip_reason ae_lip_lacks(const ae_lip_presence *presence);
/* And after it: for the confidence and the mouth's movement (standard deviation over the distance
 * between the eyes). */
ae_lip_reason ae_lip_reason_for(const ae_lip_presence *presence, double confidence, double level,
                                double mouth_moves);

#endif
