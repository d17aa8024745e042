/* ae_echo_state.h - what an echo canceller has learned, as bytes that outlive the session.
 *
 * A room and a pair of devices are much the same tomorrow: a canceller that starts from yesterday's
 * echo path cancels from the first block on. The bytes hold, for every channel, the main filter's
 * path and covariance, the bulk delay it sits behind, the lag that was found and the clocks' skew.
 * The device buffers' delay may be another one next time: the path is tried at the first lag found
 * (ae_echo_align.h). Loading checks everything before it touches a filter.
 *
 * Layout, little-endian: magic (8 bytes), version, length in bytes, CRC-32 (IEEE 802.3) of all that
 * follows it; then the shape, 12 int32 (see k_shape_fields); then per channel delay, lag and skew
 * as float64, and the path as float32.
 * Thread: control, while nothing processes; save and load allocate. */
#ifndef AE_ECHO_STATE_H
#define AE_ECHO_STATE_H

#include "ae_echo_filter.h"

/* ffi:begin */
typedef enum {
    AE_ECHO_STATE_FITS = 0,
    AE_ECHO_STATE_FOREIGN = 1,   /* does not begin like an echo state */
    AE_ECHO_STATE_VERSION = 2,   /* written in a layout that is not read here */
    AE_ECHO_STATE_DAMAGED = 3,   /* cut short, too long, or changed since it was written */
    AE_ECHO_STATE_SHAPE = 4,     /* of a canceller with another rate, tail, channels ... */
    AE_ECHO_STATE_UNSOUND = 5,   /* holds values that no filter comes to */
    AE_ECHO_STATE_NO_MEMORY = 6, /* to check it in */
} ae_echo_state_verdict;

enum { AE_ECHO_STATE_LAYOUT = 1 }; /* the version that is written and read */

/* What a state says of itself; zeros where that cannot be read. */
typedef struct {
    int version;
    int sample_rate_hz;
    int tail_ms;
    int max_delay_ms;
    int channels;     /* of the microphone */
    int far_channels; /* references of each filter */
} ae_echo_state_info;

/* `filters`: one per channel, 1 .. 8, all of one configuration. */
size_t ae_echo_state_bytes(ae_echo_filter *const *filters, int channels);
ae_status ae_echo_state_save(ae_echo_filter *const *filters, int channels, uint8_t *to);
/* Returns an ae_echo_state_verdict; unless it fits, the filters are untouched to the bit. If it
 * does, they are reset and go on from the state. */
int ae_echo_state_load(ae_echo_filter *const *filters, int channels, const uint8_t *from,
                       size_t bytes, ae_echo_state_info *found);
/* What would fit. */
void ae_echo_state_describe(ae_echo_filter *const *filters, int channels, ae_echo_state_info *out);
/* 1 when any channel has something worth keeping, see ae_echo_filter_has_learned. */
int ae_echo_state_has_learned(ae_echo_filter *const *filters, int channels);
/* ffi:end */

#endif
