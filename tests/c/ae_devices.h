/* ae_devices.h - two simulated sound devices for the tests: exact clocks some ppm apart, threads
 * that are woken late, in bursts, or not at all for a while. Time is simulated: ten minutes take a
 * second. */
#ifndef AE_DEVICES_H
#define AE_DEVICES_H

#include "ae_math.h"

typedef enum {
    AE_ON_TIME,
    AE_UNIFORM,     /* 0 .. late_s */
    AE_HALF_NORMAL, /* |normal|, sigma late_s */
    AE_EXPONENTIAL, /* mean late_s */
    AE_SAWTOOTH,    /* 0 .. late_s, rising over 63 blocks: PortAudio's timer beside the card's */
} ae_lateness;

typedef struct {
    int rate_hz;
    double ppm; /* how fast the device runs */
    int block_frames;
    double start_s; /* when its frame 0 is */
    ae_lateness shape;
    double late_s;
    int burst; /* blocks per wake-up; 0 means 1 */
} ae_device;

typedef struct {
    ae_device device;
    uint32_t seed;
    int64_t blocks;   /* woken for so far */
    double lost_s;    /* time that the device has dropped */
    double stall_end; /* nobody is woken before */
    double now_s;     /* of the last wake-up */
    double next_s;    /* and of the next */
} ae_device_thread;

static inline double ae_device_uniform(uint32_t *seed)
{
    return 0.5 + 0.5 * (double)ae_random(seed);
}

static inline double ae_device_late_s(ae_device_thread *thread)
{
    const double size = thread->device.late_s, pick = ae_device_uniform(&thread->seed);
    const double turn = 6.283185307179586 * ae_device_uniform(&thread->seed);
    switch (thread->device.shape) {
    case AE_ON_TIME: return 0.0;
    case AE_UNIFORM: return size * pick;
    case AE_HALF_NORMAL: return size * fabs(sqrt(-2.0 * log(pick + 1e-12)) * cos(turn));
    case AE_SAWTOOTH: return size * (double)(thread->blocks % 63) / 63.0 + 1e-4 * pick;
    case AE_EXPONENTIAL: return -size * log(pick + 1e-12);
    }
    return 0.0;
}

/* The device's frame count (a real number) at a time, and back. */
static inline double ae_device_frames_at(const ae_device_thread *thread, double time_s)
{
    return (time_s - thread->device.start_s - thread->lost_s) * thread->device.rate_hz *
           (1.0 + 1e-6 * thread->device.ppm);
}
static inline double ae_device_time_of(const ae_device_thread *thread, double frames)
{
    return thread->device.start_s + thread->lost_s +
           frames / (thread->device.rate_hz * (1.0 + 1e-6 * thread->device.ppm));
}

/* Sets next_s: when the thread wakes for the end of its next block. */
static inline void ae_device_plan(ae_device_thread *thread)
{
    const int burst = thread->device.burst > 1 ? thread->device.burst : 1;
    const int64_t ready = (thread->blocks + burst) / burst * burst;
    const double due_s = ae_device_time_of(thread, (double)(ready * thread->device.block_frames));
    const double soonest_s = fmax(thread->now_s + 2e-5, thread->stall_end);
    thread->next_s = fmax(due_s + ae_device_late_s(thread), soonest_s);
}

static inline ae_device_thread ae_device_open(ae_device device, uint32_t seed, double now_s)
{
    ae_device_thread thread = {.device = device, .seed = seed, .now_s = now_s};
    ae_device_plan(&thread);
    return thread;
}

static inline void ae_device_woke(ae_device_thread *thread)
{
    thread->now_s = thread->next_s;
    thread->blocks++;
    ae_device_plan(thread);
}

/* From now on nobody is woken for a while; the device goes on. */
static inline void ae_device_stall(ae_device_thread *thread, double from_s, double for_s)
{
    thread->stall_end = from_s + for_s;
    if (thread->next_s >= from_s) thread->next_s = fmax(thread->next_s, thread->stall_end);
}

/* The device drops what it would have captured or played in this time. */
static inline void ae_device_lose(ae_device_thread *thread, double for_s)
{
    thread->lost_s += for_s;
    thread->next_s += for_s;
}

#endif
