/* ae_lip_mouth.h - the picture side of lip sync: mouth signals with time stamps, on a 10 ms grid.
 *
 * Method: linear interpolation between the time stamps, so any and a changing frame rate will do.
 * Between two seen faces at most 200 ms apart a grid point counts; in a longer hole its weight is 0
 * and its value a bridge for the filters. Before the first face, after the last, and beside a cut
 * the nearest face holds for 100 ms. A signal that is the difference of two pictures is stamped
 * midway between them, and clipped to its 99th percentile: one camera bump must not outweigh a
 * window of speech. A cut: the next sample belongs to another shot; nothing is interpolated across.
 * The newest AE_LIP_MOUTH_SAMPLES samples are kept. A sample that is no later than the one before
 * is left out: stamps of a camera jitter. More than 1 s earlier, it starts anew. No allocation
 * after create; one thread at a time. */
#ifndef AE_LIP_MOUTH_H
#define AE_LIP_MOUTH_H

#include "ae_common.h"

typedef struct ae_lip_mouth ae_lip_mouth;

enum {
    AE_LIP_MOUTH_ROW = 8,         /* columns of a row: AE_LIP_MAX_SIGNALS */
    AE_LIP_MOUTH_SAMPLES = 16384, /* 80 s at 200 pictures a second */
};

typedef struct {
    int signals;    /* 1 .. AE_LIP_MOUTH_ROW */
    int motion;     /* which of them is the difference of two pictures; -1: none */
    int max_frames; /* of a grid, >= 1 */
} ae_lip_mouth_config;

ae_status ae_lip_mouth_create(ae_lip_mouth **out, const ae_lip_mouth_config *config);
void ae_lip_mouth_destroy(ae_lip_mouth *self);
void ae_lip_mouth_reset(ae_lip_mouth *self);
/* One sample: finite `time_s`, `signals` values, any of them non-finite: no face in that picture.
 * Returns 1 when the stream started anew, else 0. */
int ae_lip_mouth_push(ae_lip_mouth *self, double time_s, const float *values);
void ae_lip_mouth_cut(ae_lip_mouth *self);
int64_t ae_lip_mouth_samples(const ae_lip_mouth *self); /* since the start */
double ae_lip_mouth_first_s(const ae_lip_mouth *self);  /* of the stream; needs a sample */
double ae_lip_mouth_newest_s(const ae_lip_mouth *self); /* needs a sample */
/* Fill `frames` rows of AE_LIP_MOUTH_ROW and their weights (1: seen, else 0), row i at
 * first_s + 10 ms * i, from samples up to the first at or after the last row and no later ones:
 * what has come since does not change the result. */
void ae_lip_mouth_grid(ae_lip_mouth *self, double first_s, int frames, float *rows, float *weights);

#endif
