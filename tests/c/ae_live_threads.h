/* ae_live_threads.h - the three threads of a live engine, each as fast as it can: device, far end,
 * control. */
#ifndef AE_LIVE_THREADS_H
#define AE_LIVE_THREADS_H

#include "ae_live.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

/* 10^7 takes minutes; the default is for every day. */
static int64_t stress_operations(void)
{
    const char *wish = getenv("AE_STRESS_OPERATIONS");
    return wish != NULL ? atoll(wish) : 60000;
}

enum { k_wires = 4, k_device_frames = 96, k_cycle = 4096 };

typedef struct {
    ae_rt *rt;
    pthread_mutex_t lock; /* of `done` only: the engine's own data need none */
    int done;
    int64_t operations[3];
} stress;

static int is_done(stress *shared)
{
    pthread_mutex_lock(&shared->lock);
    const int done = shared->done;
    pthread_mutex_unlock(&shared->lock);
    return done;
}

/* The microphone counts: frame n is n mod k_cycle. */
static void *call(void *argument)
{
    stress *shared = argument;
    float in[k_device_frames], out[k_device_frames];
    for (int64_t n = 0; n % 64 != 0 || !is_done(shared); n++) {
        for (int i = 0; i < k_device_frames; i++)
            in[i] = (float)((n * k_device_frames + i) % k_cycle) / k_cycle;
        ae_rt_callback(in, out, k_device_frames, NULL, n % 500 == 9 ? 4 : 0, shared->rt);
        shared->operations[0]++;
        if (n % 64 == 0) sched_yield();
    }
    return NULL;
}

static void *feed(void *argument)
{
    stress *shared = argument;
    float far[700];
    uint32_t seed = 5;
    ae_fill(far, 0.25f, 700);
    for (int64_t n = 0; n % 64 != 0 || !is_done(shared); n++) {
        const int wanted = (int)(fabsf(ae_random(&seed)) * 700.0f);
        if (ae_far_queue_write(ae_rt_far_queue(shared->rt), far, wanted) < wanted) sched_yield();
        (void)ae_far_queue_space(ae_rt_far_queue(shared->rt));
        shared->operations[1] += 2;
    }
    return NULL;
}

typedef struct {
    ae_graph *wires[k_wires];
    int is_out[k_wires]; /* posted or running */
    int outstanding, serial, wrong;
    int64_t swaps, frames, log_frame;
    int64_t tapped, jumps;
    float next; /* microphone sample that the tap must bring next */
} control_side;

static void exchange_graphs(control_side *self, ae_rt *rt)
{
    ae_graph *back = ae_rt_collect(rt);
    for (int i = 0; i < k_wires && back != NULL; i++) {
        if (self->wires[i] != back) continue;
        self->wrong += !self->is_out[i]; /* twice */
        self->is_out[i] = 0;
        self->outstanding--;
        back = NULL;
    }
    self->wrong += back != NULL; /* not one of ours */
    for (int i = 0; i < k_wires; i++) {
        if (self->is_out[i] || post_swap(rt, self->wires[i], self->serial + 1) != AE_OK) continue;
        self->is_out[i] = 1;
        self->outstanding++;
        self->serial++;
        self->swaps++;
    }
}

/* Whatever is swapped and switched, a wire is a wire: processed is the microphone, in order.
 * Returns the frames that the tap had. */
static int check_tap(control_side *self, ae_rt *rt)
{
    float frames[3 * 256];
    ae_rt_report report;
    const int count = ae_rt_read_tap(rt, frames, 256);
    ae_rt_read(rt, &report);
    for (int n = 0; n < count; n++) {
        const float microphone = frames[3 * n], reference = frames[3 * n + 1];
        self->wrong += frames[3 * n + 2] != microphone;
        self->wrong += !(reference >= 0.0f && reference <= 1.0f);
        self->jumps += microphone != self->next;
        self->next = microphone + 1.0f / k_cycle;
        if (self->next >= 1.0f) self->next = 0.0f;
    }
    self->tapped += count;
    self->wrong += report.frames < self->frames || report.serial > self->serial;
    self->wrong += report.callback.frames != k_device_frames * report.callback.callbacks;
    self->frames = report.frames;
    return count;
}

static void check_log(control_side *self, ae_rt *rt)
{
    ae_rt_log_entry log[16];
    const int count = ae_rt_read_log(rt, log, 16);
    for (int i = 0; i < count; i++) {
        self->wrong += log[i].frame < self->log_frame || log[i].code > AE_RT_LOG_RECORD_FULL;
        self->log_frame = log[i].frame;
    }
}

static void control(control_side *self, stress *shared, int64_t operations)
{
    const int kinds[] = {AE_RT_MONITOR, AE_RT_BYPASS, AE_RT_FAR, AE_RT_MONITOR};
    uint32_t seed = 11;
    for (int64_t n = 0; shared->operations[2] < operations || self->swaps < 50; n++) {
        const float value = fabsf(ae_random(&seed));
        const ae_rt_command command = {
            .kind = kinds[n % 4], .on = value < 0.5f, .value = n % 4 == 1 ? 1.0f : value};
        if (n % 7 == 0) (void)ae_rt_post(shared->rt, &command);
        exchange_graphs(self, shared->rt);
        if (check_tap(self, shared->rt) == 0) sched_yield();
        check_log(self, shared->rt);
        shared->operations[2] += 5;
    }
}

#endif
