/* ae_far_end.h - the far end's past: one ring of samples per channel behind a common bulk delay
 * that may drift, and the rings of their spectra that the filters of one echo path share.
 *
 * Ages are counted in frames back from the newest far-end frame and may be fractional: where
 * capture and render clock differ, the delay grows by `skew` frames per frame, and the samples are
 * read with a windowed sinc (32 taps, 256 phases: error below -43 dB at 0.4 of the sample rate, -58
 * dB at 0.1). Without skew every age is a whole number and samples are copied.
 * A new block costs one FFT per channel and two for its branches. A new delay costs as much for
 * every partition, once: no filter state moves. Thread: audio; no allocation after create. */
#ifndef AE_FAR_END_H
#define AE_FAR_END_H

#include "ae_common.h"

/* Rings of spectra, newest first. Row p < partitions of a channel is the FFT of the fft_size
 * delayed frames that end p blocks ago; after the channels come branch_partitions rows for each
 * branch of each channel, the same of a bent copy of its signal. Stepping a ring moves an index and
 * no memory. */
enum { AE_FAR_CHANNELS = 2, AE_FAR_BRANCHES = 2 /* per channel */ };

typedef struct {
    int channels; /* 1 .. AE_FAR_CHANNELS */
    int partitions;
    int branch_partitions;
    int stride;            /* floats from one row's plane to the next */
    int head, branch_head; /* slots of the newest spectra in their rings */
    float *re, *im;
} ae_far_spectra;

static inline int ae_far_spectra_rows(const ae_far_spectra *self)
{
    return self->channels * (self->partitions + AE_FAR_BRANCHES * self->branch_partitions);
}

/* First float of the plane of a channel's row. */
static inline int ae_far_spectra_at(const ae_far_spectra *self, int channel, int partition)
{
    const int slot = self->head + partition;
    const int wrapped = slot < self->partitions ? slot : slot - self->partitions;
    return (channel * self->partitions + wrapped) * self->stride;
}

/* First float of the plane of a branch's row; branches 0 and 1 are channel 0's. */
static inline int ae_far_spectra_bent_at(const ae_far_spectra *self, int branch, int partition)
{
    const int slot = self->branch_head + partition;
    const int wrapped = slot < self->branch_partitions ? slot : slot - self->branch_partitions;
    return (self->channels * self->partitions + branch * self->branch_partitions + wrapped) *
           self->stride;
}

typedef struct {
    int channels; /* 1 .. AE_FAR_CHANNELS */
    int block_frames;
    int fft_size;
    int partitions;
    int branch_partitions; /* 0: no branches */
    int max_delay_frames;
    int extra_blocks; /* how many blocks older than delay and tail must stay readable */
} ae_far_end_config;

enum { AE_FAR_END_REACH = 16 }; /* frames on each side of a sample that is read between frames */

typedef struct ae_far_end ae_far_end;

ae_status ae_far_end_create(ae_far_end **out, const ae_far_end_config *config);
/* Takes one block of every channel, lets the delay drift and transforms the newest delayed frames.
 */
void ae_far_end_push(ae_far_end *self, const float *const *blocks);
/* The `count` frames of a channel that end at `age`, frames of the capture's clock apart. */
void ae_far_end_read(const ae_far_end *self, int channel, double age, int count, float *to);
double ae_far_end_delay(const ae_far_end *self);
int ae_far_end_max_delay(const ae_far_end *self);
/* Moves the spectra to another bulk delay, 0 .. max_delay_frames; rounded to whole frames without
 * skew, kept AE_FAR_END_REACH frames off zero with it. */
void ae_far_end_set_delay(ae_far_end *self, double delay_frames);
/* Frames by which the delay grows per frame, from the next block on; |skew| < 1e-3. 0: stays. */
void ae_far_end_set_skew(ae_far_end *self, double skew);
double ae_far_end_skew(const ae_far_end *self);
const ae_far_spectra *ae_far_end_spectra(const ae_far_end *self);
/* The newest fft_size delayed frames of a channel: the time signal of partition 0. */
const float *ae_far_end_segment(const ae_far_end *self, int channel);
/* Transforms the fft_size frames of a channel that end at `age`; the delay plays no part. */
void ae_far_end_transform(ae_far_end *self, int channel, double age, float *re, float *im);
void ae_far_end_reset(ae_far_end *self);
void ae_far_end_destroy(ae_far_end *self);

#endif
