/* ae_clock_bridge.h - carry audio from one device's clock to another's.
 *
 * A writer (one device's callback) and a reader (the master's callback) run on their own clocks,
 * some ppm apart, in two threads or two processes. Each write travels through a ring as chunks that
 * name their place in the stream, their time and the writer's generation. The reader keeps one
 * delay-locked loop per clock (ae_dll), resamples by the ratio of the two slopes, and steers the
 * ratio a little so that the fill stays at its target (proportional; the loops are the integral).
 *
 * Target fill at a read = one read block + one write block + one frame + a margin for writes that
 * come late: what all but two wake-ups of 10 s stayed below, + 25 % + 0.2 ms; 2 .. 40 ms. The fill
 * is counted between the two smoothed clocks, so that the jitter of neither moves it. The target
 * grows only where the sound is broken anyway (at the start, after an underrun): an echo canceller
 * behind the bridge takes every move of the read position for a change of the room. It comes down,
 * by a jump with a cross-fade, when it was 3 ms too high for 30 s. When
 * input is missing: the newest 5 ms are played backwards with a fade-out, time goes on in silence,
 * and the sound fades in (5 ms) where it would have been, so that the delay is the same afterwards.
 * When a device loses frames, the read position jumps to the target with a cross-fade.
 *
 * Latency: the fill, and 32 periods of the lower rate in the resampler (0.67 ms at 48 kHz).
 * Cost per read: 128 multiply-adds per sample. Memory: about 1 s of input.
 * Thread: one writer, one reader, one control thread; no allocation after create, no locks, no
 * waiting. Either process may be killed at any instruction: what it leaves is a whole ring, and
 * ae_clock_bridge_open_writer or _open_reader makes the rest whole before the next one starts. */
#ifndef AE_CLOCK_BRIDGE_H
#define AE_CLOCK_BRIDGE_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_clock_bridge ae_clock_bridge;
typedef struct {
    int input_rate_hz;  /* 8000 .. 192000, nominal rate of the writer's device */
    int output_rate_hz; /* 8000 .. 192000, of the reader's device; 1/12 to 12 times the other */
    int channels;       /* 1 .. 8 */
    int write_frames;   /* frames per write, 1 .. 4096; 0: not known, learnt */
    int read_frames;    /* frames per read, 16 .. 4096 */
} ae_clock_bridge_config;

typedef struct {
    double drift_ppm;    /* the writer's clock against the reader's; > 0: the writer is fast */
    float fill_frames;   /* input frames between the writer's clock now and the read position */
    float target_frames; /* of the fill */
    float jitter_ms;     /* 1 sigma of the arrival of writes */
    float latency_ms;  /* from a frame's arrival by the writer's clock to its place in the block */
    int locked;        /* 0/1: both clocks are known and the fill is at its target */
    int writing;       /* 0/1: writes arrive */
    int64_t underruns; /* reads that lacked input while the writer was there */
    int64_t overruns;  /* input frames dropped for want of room, or cut to come down to target */
} ae_clock_bridge_report;

ae_status ae_clock_bridge_create(ae_clock_bridge **out, const ae_clock_bridge_config *config);
void ae_clock_bridge_destroy(ae_clock_bridge *self);
/* Before a new writer runs and after the old one has ended (or been killed). The reader hears of it
 * by the first write and starts again from silence. */
void ae_clock_bridge_open_writer(ae_clock_bridge *self);
/* The same for a new reader. */
void ae_clock_bridge_open_reader(ae_clock_bridge *self);
/* Writer. `interleaved` NULL: silence. now_s: CLOCK_MONOTONIC at the start of the callback. */
void ae_clock_bridge_write(ae_clock_bridge *self, const float *interleaved, int frames,
                           double now_s);
/* Reader. Writes read_frames frames to each channel of `out`: silence where there is no input. */
void ae_clock_bridge_read(ae_clock_bridge *self, float *const *out, double now_s);
/* Reader: 0/1, writes arrive. */
int ae_clock_bridge_is_writing(const ae_clock_bridge *self);
/* Control: as the last read left it. */
void ae_clock_bridge_read_report(ae_clock_bridge *self, ae_clock_bridge_report *out);
/* ffi:end */

#endif
