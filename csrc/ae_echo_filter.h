/* ae_echo_filter.h - linear acoustic echo canceller of one capture channel and one or two
 * far-end channels.
 *
 * Method: partitioned-block frequency-domain Kalman filter (ae_kalman.h: Enzner & Vary 2006; Kuech,
 * Mabande, Enzner 2014), overlap-save in 10 ms blocks on the full band, behind a bulk delay that
 * ae_delay finds between 0 and max_delay_ms. Two filters run side by side: a main one with a long
 * memory, which the output comes from, and a fast one that follows a moved microphone; copy rules
 * between them are in ae_echo_filter.c. What the filter leaves is ae_suppressor's business: it sees
 * it through ae_echo_filter_view.
 * With two far-end channels each has an echo path, bends and a delay finder of its own; the bulk
 * delay is one: it follows the finder that hears its echo better, or the other one while that is
 * earlier and half of the tail spans both. That costs 2.1 times as much as one channel.
 * Latency: none. Thread: audio; no allocation after create. */
#ifndef AE_ECHO_FILTER_H
#define AE_ECHO_FILTER_H

#include "ae_common.h"
#include "ae_echo_view.h"

/* ffi:begin */
typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int tail_ms; /* 40 .. 480, echo path the filter spans after the bulk delay; it grows by half
                    where the room rings on */
    int max_delay_ms; /* 0 .. 1000, largest bulk delay to look for */
    int far_channels; /* 1 or 2, far-end channels, each with an echo path of its own */
} ae_echo_filter_config;

typedef struct {
    float erle_db;             /* echo return loss enhancement of the linear filter, smoothed */
    float echo_return_loss_db; /* far-end level minus the level of the echo estimate, smoothed */
    float delay_ms;            /* bulk delay in use */
    float delay_confidence;    /* 0..1, 0 while no delay has been found */
    float drift_ppm;           /* skew taken out: > 0, the echo's lag would grow */
    int no_echo_path;     /* 1: the far end plays and no echo of it is heard, as with a headset */
    int divergence_count; /* restarts of a filter that left its bounds, since create or reset */
} ae_echo_filter_report;

typedef struct ae_echo_filter ae_echo_filter;

ae_echo_filter_config ae_echo_filter_default_config(int sample_rate_hz);
ae_status ae_echo_filter_create(ae_echo_filter **out, const ae_echo_filter_config *config);
/* One block of ae_block_frames(rate) frames; `far_end` points to far_channels blocks. `error` may
 * equal `capture`, not a block of `far_end`. */
void ae_echo_filter_process(ae_echo_filter *self, const float *capture, const float *const *far_end,
                            float *error);
int ae_echo_filter_far_channels(const ae_echo_filter *self);
/* The block just processed; valid until the next process, reset or destroy. */
const ae_echo_view *ae_echo_filter_view(const ae_echo_filter *self);
void ae_echo_filter_read(const ae_echo_filter *self, ae_echo_filter_report *out);
void ae_echo_filter_reset(ae_echo_filter *self);
void ae_echo_filter_destroy(ae_echo_filter *self);
int ae_echo_filter_latency_frames(const ae_echo_filter *self);
/* ffi:end */

/* What outlives a session, see ae_echo_state.h. */
typedef struct {
    double delay_frames; /* bulk delay, 0 .. ae_echo_filter_shape.max_delay_frames */
    double lag_frames;   /* of the echo as found; < 0: never found */
    double skew;         /* frames the delay grows per frame, |skew| <= 6e-4 */
} ae_echo_filter_place;

/* What two filters must have in common to take over each other's state. */
typedef struct {
    ae_echo_filter_config config;
    int block_frames, fft_size, partitions, branch_partitions, full_partitions, low_bins;
    int far_channels;
    int max_delay_frames;
    int floats; /* of the path: the echo path and its covariance */
} ae_echo_filter_shape;

ae_echo_filter_shape ae_echo_filter_shape_of(const ae_echo_filter *self);
void ae_echo_filter_write_state(const ae_echo_filter *self, ae_echo_filter_place *place,
                                float *path);
/* Whether every value is one that the filter could have come to. */
int ae_echo_filter_state_is_sound(ae_echo_filter *self, const ae_echo_filter_place *place,
                                  const float *path);
/* Reset, then go on from a sound state. */
void ae_echo_filter_read_state(ae_echo_filter *self, const ae_echo_filter_place *place,
                               const float *path);
/* Whether a state is worth keeping: the filter has cancelled well, at a known lag, since create,
 * reset or read_state. */
int ae_echo_filter_has_learned(const ae_echo_filter *self);

#endif
