/* Truths: any device block gives the samples of the graph run by hand, late by the adapter; the
 * reference is the loudspeaker's frame before; a swap gives each old graph back once, however the
 * process ends; the queues and the swap between threads (under the thread sanitizer; the count of
 * operations is AE_STRESS_OPERATIONS in the environment).
 * No run lasts 2 s without a new open: on a slow machine the load guard would shed what is heard.
 */
#define _GNU_SOURCE /* fork, mmap, kill, nanosleep */
#include "ae_heap.h"
#include "ae_live_threads.h"
#include "ae_malloc_hook.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- samples ---- */

static void test_limits(void)
{
    ae_graph *wire = make_wire(k_rate, 1, 1), *stereo = make_wire(k_rate, 2, 1);
    ae_rt_config config = mono_config(wire);
    ae_rt *rt = (ae_rt *)&rt;
#define REFUSED(change, restore)                                                                   \
    do {                                                                                           \
        change;                                                                                    \
        CHECK(ae_rt_create(&rt, &config) == AE_ERROR_ARGUMENT && rt == NULL);                      \
        restore;                                                                                   \
    } while (0)
    REFUSED(config.sample_rate_hz = 7999, config.sample_rate_hz = k_rate);
    REFUSED(config.sample_rate_hz = 44100, config.sample_rate_hz = k_rate); /* the graph's is not */
    REFUSED(config.capture_channels = 2, config.capture_channels = 1);
    REFUSED(config.render_channels = 2, config.render_channels = 1);
    REFUSED(config.render_channels = 9, config.render_channels = 1);
    REFUSED(config.graph = NULL, config.graph = wire);
    REFUSED(config.graph = stereo, config.graph = wire);
    REFUSED(config.tap_frames = 0, config.tap_frames = 9);
    REFUSED(config.far_queue_frames = k_block, config.far_queue_frames = 2 * k_block);
#undef REFUSED
    CHECK(ae_rt_create(&rt, NULL) == AE_ERROR_ARGUMENT);
    CHECK(ae_rt_create(&rt, &config) == AE_OK);
    CHECK(post_swap(rt, NULL, 1) == AE_ERROR_ARGUMENT);
    CHECK(post_swap(rt, stereo, 1) == AE_ERROR_ARGUMENT);
    const ae_rt_command nonsense[] = {{.kind = 99},
                                      {.kind = -1},
                                      {.kind = AE_RT_MONITOR, .value = NAN},
                                      {.kind = AE_RT_BYPASS, .value = INFINITY}};
    for (int i = 0; i < 4; i++) CHECK(ae_rt_post(rt, &nonsense[i]) == AE_ERROR_ARGUMENT);
    ae_rt_destroy(rt);
    ae_rt_destroy(NULL);
    ae_graph_destroy(wire);
    ae_graph_destroy(stereo);
}

/* The same samples as the graph run by hand, late by the adapter, which is what it has to be. */
static void test_any_device_block(void)
{
    const int devices[][2] = {{480, 0},  {960, 0},    {441, 477}, {512, 448},
                              {64, 448}, {1024, 448}, {240, 240}, {0, 479}};
    const int length = 14400;
    fill_noise();
    light by_hand;
    make_light(&by_hand);
    for (int n = 0; n < length; n += k_block) {
        const float *in[] = {mic_in + n, NULL};
        float *out[] = {expected + n};
        ae_graph_process(by_hand.graph, in, out);
    }
    destroy_light(&by_hand);
    for (int i = 0; i < 8; i++) {
        light engine;
        make_light(&engine);
        ae_rt *rt = make_engine(engine.graph, devices[i][0]);
        post(rt, AE_RT_MONITOR, 0, 1.0f); /* comes up within the first frame */
        const int late = devices[i][1], end = drive(rt, devices[i][0], 0, length);
        ae_rt_report report;
        ae_rt_read(rt, &report);
        CHECK(report.adapter_frames == late && report.starved_frames == 0);
        CHECK(report.callback.frames == end && report.frames == end / k_block * k_block);
        CHECK(ae_energy(played, late) == 0.0f && end > length - 1500);
        CHECK(differences(played + late + k_block, expected + k_block, end - late - k_block) == 0);
        ae_rt_destroy(rt);
        destroy_light(&engine);
    }
}

/* A device that gives blocks of another length than it announced: a gap at most once, then all. */
static void test_a_device_that_does_not_keep_its_word(void)
{
    fill_tone(0.5f);
    ae_graph *wire = make_wire(k_rate, 1, 1);
    ae_rt *rt = make_engine(wire, k_block);
    post(rt, AE_RT_MONITOR, 0, 1.0f);
    int at = drive(rt, 0, 0, k_length / 2);
    ae_rt_report before, after;
    ae_rt_read(rt, &before);
    CHECK(before.starved_frames > 0 && before.starved_frames < k_block);
    at = drive(rt, 0, at, k_length);
    ae_rt_read(rt, &after);
    CHECK(after.starved_frames < k_block);
    CHECK(largest_jump(played + k_length / 2, at - k_length / 2) < 0.5f * k_tone_step * 1.01f);
    ae_rt_destroy(rt);
    ae_graph_destroy(wire);
}

/* What the tap says went into the graph gives, by hand, what the tap says came out. */
static void test_live_equals_offline(void)
{
    static float reference[k_length], processed[k_length];
    fill_noise();
    ae_chain chain, by_hand;
    CHECK(ae_chain_create(&chain, k_rate, 1) == 0);
    CHECK(ae_chain_create(&by_hand, k_rate, 1) == 0);
    ae_graph *graph = ae_chain_plan(&chain, k_rate, 0);
    ae_rt *rt = make_engine(graph, 512);
    post(rt, AE_RT_MONITOR, 0, 0.3f);
    CHECK(ae_far_queue_write(ae_rt_far_queue(rt), far_in, k_length) == k_length);
    const int end = drive(rt, 512, 0, 9600);
    const int frames = take_tap(rt, 2, processed);
    CHECK(frames == end / k_block * k_block);
    for (int n = 0; n < frames; n++) reference[n] = tap[3 * n + 1];
    for (int n = 0; n < frames; n += k_block) {
        const float *in[] = {mic_in + n, reference + n};
        float *out[] = {expected + n};
        ae_graph_process(by_hand.graph, in, out);
    }
    CHECK(differences(processed, expected, frames) == 0);
    CHECK(ae_energy(processed, frames) > 0.01f);
    for (int n = 0; n < frames; n++) CHECK(tap[3 * n] == mic_in[n]);
    /* The reference is the loudspeaker's frame before, as it was played. */
    CHECK(ae_energy(reference, k_block) == 0.0f);
    CHECK(differences(reference + k_block, played + 448, frames - k_block - 448) == 0);
    ae_rt_destroy(rt);
    ae_graph_destroy(graph);
    ae_chain_destroy(&chain);
    ae_chain_destroy(&by_hand);
}

static void test_the_far_end_is_played_unchanged(void)
{
    fill_noise();
    light engine;
    make_light(&engine);
    ae_rt *rt = make_engine(engine.graph, 441);
    ae_far_queue_write(ae_rt_far_queue(rt), far_in, k_length);
    const int late = 477, fade = k_block / 2, end = drive(rt, 441, 0, k_length);
    CHECK(differences(played + late + fade, far_in + fade, end - late - fade) == 0);
    ae_rt_destroy(rt);
    destroy_light(&engine);
}

/* Somebody else plays it: not played again, and heard as it is now, with the own monitor of the
 * frame before. */
static void test_a_loopback_is_the_reference(void)
{
    fill_noise();
    ae_graph *wire = make_wire(k_rate, 1, 1);
    ae_rt_config config = mono_config(wire);
    config.far_is_loopback = 1;
    const ae_rt_device device = device_of(1, 1, k_block);
    ae_rt *rt;
    CHECK(ae_rt_create(&rt, &config) == AE_OK);
    ae_rt_open(rt, &device);
    ae_far_queue_write(ae_rt_far_queue(rt), far_in, k_length);
    post(rt, AE_RT_MONITOR, 0, 0.5f);
    const int end = drive(rt, k_block, 0, k_length - k_block);
    CHECK(take_tap(rt, 1, expected) == end);
    for (int n = k_block; n < end; n++) {
        CHECK(n < 2 * k_block || played[n] == 0.5f * mic_in[n]);
        CHECK(expected[n] == far_in[n] + played[n - k_block]);
    }
    ae_rt_destroy(rt);
    ae_graph_destroy(wire);
}

/* Channel c takes channel c modulo what there is: 1 into 2 and 2 into 1, on both sides. */
static void test_channels_of_engine_and_device(void)
{
    for (int engine = 1; engine <= 2; engine++) {
        for (int device = 1; device <= 3; device++) {
            float in[3 * k_block], out[3 * k_block], far[4 * 2 * k_block];
            ae_graph *wire = make_wire(k_rate, engine, engine);
            ae_rt_config config = mono_config(wire);
            config.capture_channels = config.render_channels = engine;
            const ae_rt_device opened = device_of(device, device, k_block);
            ae_rt *rt;
            CHECK(ae_rt_create(&rt, &config) == AE_OK);
            ae_rt_open(rt, &opened);
            for (int i = 0; i < device * k_block; i++) in[i] = 0.1f * (float)(i % device + 1);
            for (int i = 0; i < engine * 4 * k_block; i++) far[i] = 0.01f * (float)(i % engine + 1);
            ae_far_queue_write(ae_rt_far_queue(rt), far, 4 * k_block);
            post(rt, AE_RT_MONITOR, 0, 1.0f);
            for (int b = 0; b < 2; b++) ae_rt_callback(in, out, k_block, NULL, 0, rt);
            for (int d = 0; d < device; d++) {
                const int c = d % engine; /* of the engine, and there of the device's microphones */
                CHECK_NEAR(out[100 * device + d],
                           0.01f * (float)(c + 1) + 0.1f * (float)(c % device + 1), 1e-6);
            }
            ae_rt_destroy(rt);
            ae_graph_destroy(wire);
        }
    }
}

/* ---- commands ---- */

static void test_bypass_is_the_microphone_at_the_graphs_latency(void)
{
    fill_noise();
    light engine;
    make_light(&engine);
    ae_rt *rt = make_engine(engine.graph, k_block);
    drive(rt, k_block, 0, 9600);
    post(rt, AE_RT_BYPASS, 1, 0.25f);
    drive(rt, k_block, 9600, 19200);
    post(rt, AE_RT_BYPASS, 0, 0.0f);
    drive(rt, k_block, 19200, 28800);
    CHECK(take_tap(rt, 2, expected) == 28800);
    const int late = ae_graph_latency_frames(engine.graph);
    CHECK(late > 0);
    for (int n = 9600 + k_block; n < 19200; n++)
        CHECK_NEAR(expected[n], 0.25f * mic_in[n - late], 1e-7);
    CHECK(differences(expected + 19200 + k_block, mic_in + 19200 + k_block - late, 1000) > 900);
    ae_rt_destroy(rt);
    destroy_light(&engine);
}

static void test_mute_and_monitor_fade(void)
{
    fill_tone(0.5f);
    ae_graph *wire = make_wire(k_rate, 1, 1);
    ae_rt *rt = make_engine(wire, k_block);
    int at = drive(rt, k_block, 0, 4800);
    CHECK(ae_energy(played, 4800) == 0.0f);
    post(rt, AE_RT_MONITOR, 0, 1.0f);
    at = drive(rt, k_block, at, 9600);
    CHECK(differences(played + 4800 + k_block, mic_in + 4800 + k_block, 4800 - k_block) == 0);
    post(rt, AE_RT_MUTE, 1, 0.0f);
    at = drive(rt, k_block, at, 14400);
    CHECK(ae_energy(played + 9600 + k_block, 4800 - k_block) == 0.0f);
    post(rt, AE_RT_MUTE, 0, 0.0f);
    at = drive(rt, k_block, at, 19200);
    CHECK(differences(played + 14400 + k_block, mic_in + 14400 + k_block, 4800 - k_block) == 0);
    CHECK(largest_jump(played, 19200) < 0.5f * k_tone_step + 0.51f / k_block);
    CHECK(take_tap(rt, 0, expected) == 19200);
    CHECK(differences(expected, mic_in, 19200) ==
          0); /* the tap hears the microphone all the time */
    ae_rt_destroy(rt);
    ae_graph_destroy(wire);
}

static void test_stop_fades_and_completes(void)
{
    const int blocks[] = {480, 512, 64, 1024};
    for (int i = 0; i < 4; i++) {
        fill_tone(0.5f);
        ae_graph *wire = make_wire(k_rate, 1, 1);
        ae_rt *rt = make_engine(wire, blocks[i]);
        post(rt, AE_RT_MONITOR, 0, 1.0f);
        int at = drive(rt, blocks[i], 0, 9600), calls = 0;
        post(rt, AE_RT_STOP, 0, 0.0f);
        for (int complete = 0; !complete && calls < 100; at += blocks[i], calls++) {
            complete = ae_rt_callback(mic_in + at, played + at, (unsigned long)blocks[i], NULL, 0,
                                      rt) == 1;
        }
        CHECK(calls * blocks[i] <= 4 * k_block + blocks[i]); /* 40 ms at most */
        CHECK(largest_jump(played, at) < 0.5f * k_tone_step + 1.01f / k_block);
        CHECK(played[at - 1] == 0.0f); /* all of the fade was given */
        CHECK(ae_rt_callback(mic_in, played, (unsigned long)blocks[i], NULL, 0, rt) == 1);
        CHECK(ae_energy(played, blocks[i]) == 0.0f);
        ae_rt_report report;
        ae_rt_read(rt, &report);
        CHECK(report.stopped == 1);
        const ae_rt_device again = device_of(1, 1, k_block);
        ae_rt_open(rt, &again);
        drive(rt, k_block, 0, 9600);
        CHECK(differences(played + k_block, mic_in + k_block, 9600 - k_block) == 0);
        ae_rt_destroy(rt);
        ae_graph_destroy(wire);
    }
}

/* ---- the swap ---- */

/* Runs single frames until a graph comes back; returns how many, or -1. */
static int frames_until_collected(ae_rt *rt, int *at, const ae_graph *wanted)
{
    for (int frames = 1; frames <= 20; frames++) {
        *at = drive(rt, k_block, *at, *at + k_block);
        const ae_graph *graph = ae_rt_collect(rt);
        if (graph == NULL) continue;
        return graph == wanted ? frames : -1;
    }
    return -1;
}

/* The next graph shares the high-pass and has a limiter that turns the tone down by 14 dB. */
static void test_a_swap_makes_no_click_and_gives_the_old_graph_back(void)
{
    fill_tone(0.5f);
    light first;
    make_light(&first);
    ae_chain kernels = first.kernels;
    ae_limiter_config limiter = ae_limiter_default_config(k_rate);
    limiter.ceiling_dbtp = -20.0f;
    limiter.lookahead_ms *= 0.5f; /* another latency */
    CHECK(ae_limiter_create(&kernels.limiter, &limiter) == AE_OK);
    ae_graph *next = light_plan(&kernels);
    ae_rt *rt = make_engine(first.graph, k_block);
    post(rt, AE_RT_MONITOR, 0, 1.0f);
    int at = drive(rt, k_block, 0, 9600);
    CHECK(post_swap(rt, next, 7) == AE_OK);
    post(rt, AE_RT_MUTE, 1, 0.0f); /* waits its turn */
    const int begun = at, lasted = frames_until_collected(rt, &at, first.graph);
    CHECK(lasted > 0 && lasted <= 8);
    CHECK(ae_rt_collect(rt) == NULL);
    CHECK(ae_energy(played + at - 100, 100) > 0.0f);
    at = drive(rt, k_block, at, at + 2 * k_block);
    CHECK(ae_energy(played + at - k_block, k_block) == 0.0f);
    post(rt, AE_RT_MUTE, 0, 0.0f);
    at = drive(rt, k_block, at, at + 9600);
    const float change = 0.61f / (3 * k_block) + 0.51f / k_block; /* the fade, the mute */
    CHECK(largest_jump(played + begun, at - begun) < 0.5f * k_tone_step + change);
    for (int n = at - 4800; n < at; n++) CHECK(fabsf(played[n]) <= 0.1001f);
    ae_rt_report report;
    ae_rt_read(rt, &report);
    CHECK(report.serial == 7);
    CHECK(post_swap(rt, next, 8) == AE_OK); /* it runs already: a name only */
    at = drive(rt, k_block, at, at + 20 * k_block);
    ae_rt_read(rt, &report);
    CHECK(report.serial == 8 && ae_rt_collect(rt) == NULL);
    ae_rt_destroy(rt);
    ae_graph_destroy(next);
    ae_limiter_destroy(kernels.limiter);
    destroy_light(&first);
}

static void test_queued_swaps_come_one_after_the_other(void)
{
    fill_tone(0.5f);
    ae_graph *wires[4];
    for (int i = 0; i < 4; i++) wires[i] = make_wire(k_rate, 1, 1);
    ae_rt *rt = make_engine(wires[0], k_block);
    for (int i = 1; i < 4; i++) CHECK(post_swap(rt, wires[i], i) == AE_OK);
    int at = 0;
    for (int i = 0; i < 3; i++) CHECK(frames_until_collected(rt, &at, wires[i]) > 0);
    CHECK(take_tap(rt, 2, expected) == at);
    CHECK(differences(expected, mic_in, at) == 0); /* of the same: nothing is heard */
    ae_rt_destroy(rt);
    for (int i = 0; i < 4; i++) ae_graph_destroy(wires[i]);
}

static void spin_us(float us)
{
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (1e6f * (float)(now.tv_sec - from.tv_sec) +
                 1e-3f * (float)(now.tv_nsec - from.tv_nsec) <
             us);
}

/* A process that calls as fast as it can, killed `us` after its first callback. */
static void run_and_kill(ae_rt *rt, volatile int *started, float us)
{
    *started = 0;
    const pid_t child = fork();
    if (child == 0) {
        const ae_rt_device device = device_of(1, 1, 80);
        ae_rt_open(rt, &device);
        *started = 1;
        for (;;) ae_rt_callback(mic_in, played, 80, NULL, 0, rt);
    }
    CHECK(child > 0);
    while (!*started) sched_yield();
    spin_us(us);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* Each graph comes back once, none is lost, whatever the process was doing when it died. */
static void test_killed_in_the_middle_of_a_swap(void)
{
    const size_t bytes = 32u << 20;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    ae_heap *heap = ae_heap_create(memory, bytes);
    volatile int *started = ae_heap_take(heap, sizeof *started);
    ae_allocate_from(heap);
    ae_graph *wires[2] = {make_wire(8000, 1, 1), make_wire(8000, 1, 1)};
    ae_rt_config config = mono_config(wires[0]);
    config.sample_rate_hz = 8000;
    config.tap_frames = 4096;
    ae_rt *rt;
    CHECK(ae_rt_create(&rt, &config) == AE_OK);
    ae_allocate_from(NULL);
    const ae_rt_device device = device_of(1, 1, 80);
    uint32_t seed = 21;
    int wrong = 0, in_swap = 0;
    for (int round = 0; round < (int)(stress_operations() / 2000); round++) {
        const ae_graph *old = wires[round % 2];
        CHECK(post_swap(rt, wires[(round + 1) % 2], round + 1) == AE_OK);
        run_and_kill(rt, started, 60.0f * fabsf(ae_random(&seed)));
        ae_rt_recover(rt);
        const ae_graph *collected = ae_rt_collect(rt);
        in_swap += collected != NULL;
        ae_rt_open(rt, &device);
        for (int b = 0; b < 10; b++) {
            ae_rt_callback(mic_in, played, 80, NULL, 0, rt);
            const ae_graph *graph = ae_rt_collect(rt);
            wrong += graph != NULL && collected != NULL; /* twice */
            if (graph != NULL) collected = graph;
        }
        ae_rt_report report;
        ae_rt_read(rt, &report);
        wrong += collected != old || report.serial != round + 1;
    }
    CHECK(wrong == 0);
    CHECK(in_swap > 0);
    ae_rt_destroy(rt);
    for (int i = 0; i < 2; i++) ae_graph_destroy(wires[i]);
    munmap(memory, bytes);
}

/* ---- bad days ---- */

static void test_time_without_a_device(void)
{
    fill_noise();
    ae_graph *wire = make_wire(k_rate, 1, 1);
    ae_rt *rt = make_engine(wire, k_block);
    ae_far_queue *queue = ae_rt_far_queue(rt);
    ae_far_queue_write(queue, far_in, 10000);
    post(rt, AE_RT_FAR, 1, 0.0f);
    drive(rt, k_block, 0, 4800);
    CHECK(take_tap(rt, 0, expected) == 4800);
    ae_rt_recover(rt);
    ae_rt_idle(rt, 1234);
    CHECK(ae_far_queue_fill(queue) == 10000 - 4800 - 1234);
    CHECK(take_tap(rt, 0, expected) == 1234);
    CHECK(ae_energy(tap, 3 * 1234) == 0.0f);
    ae_rt_idle(rt, 1 << 20);
    CHECK(ae_far_queue_fill(queue) == 0);
    ae_rt_report report;
    ae_rt_read(rt, &report);
    const int64_t before = report.record_overruns;
    const ae_rt_device device = device_of(1, 1, k_block);
    ae_rt_open(rt, &device);
    drive(rt, k_block, 4800, 9600);
    ae_rt_read(rt, &report);
    CHECK(report.record_overruns - before == (1 << 20) - 131072 + 4800);
    CHECK(report.far_underruns == 0); /* it was thrown away, it did not run dry */
    ae_far_queue_write(queue, far_in, 2000);
    drive(rt, k_block, 9600, 14400);
    ae_rt_read(rt, &report);
    CHECK(report.far_underruns == 1);
    ae_rt_destroy(rt);
    ae_graph_destroy(wire);
}

enum { k_first_calls = 20 };

static void *begin_to_call(void *argument)
{
    float out[k_block];
    for (int i = 0; i < k_first_calls; i++) {
        sched_yield();
        ae_rt_callback(mic_in, out, k_block, NULL, 0, argument);
    }
    return NULL;
}

/* Nobody knows on the instant that a new host has begun to call: idling may go on meanwhile. */
static void test_time_passes_until_a_device_calls(void)
{
    fill_noise();
    ae_graph *wire = make_wire(k_rate, 1, 1);
    ae_rt *rt = make_engine(wire, k_block);
    for (int round = 0; round < 40; round++) {
        ae_rt_report before, report;
        ae_rt_recover(rt);
        ae_rt_read(rt, &before);
        while (ae_rt_read_tap(rt, tap, k_length) > 0) continue;
        ae_far_queue_write(ae_rt_far_queue(rt), far_in, k_length / 2);
        pthread_t device;
        CHECK(pthread_create(&device, NULL, begin_to_call, rt) == 0);
        for (int i = 0; i < 200; i++) ae_rt_idle(rt, 100);
        pthread_join(device, NULL);
        ae_rt_read(rt, &report);
        const int64_t calls = report.callback.callbacks - before.callback.callbacks;
        int64_t tapped = 0;
        for (int count = 1; count > 0; tapped += count) count = ae_rt_read_tap(rt, tap, k_length);
        CHECK(calls <= k_first_calls && report.frames - before.frames == calls * k_block);
        CHECK(tapped >= calls * k_block && (tapped - calls * k_block) % 100 == 0);
        CHECK(tapped <= calls * k_block + 200 * 100);
    }
    ae_rt_destroy(rt);
    ae_graph_destroy(wire);
}

/* Another device that has no microphone, or nothing at all, and no port in its place. */
static void test_a_device_without_a_microphone(void)
{
    fill_noise();
    ae_graph *wire = make_wire(k_rate, 1, 1);
    ae_rt *rt = make_engine(wire, k_block);
    post(rt, AE_RT_MONITOR, 0, 1.0f);
    drive(rt, k_block, 0, 9600);
    const ae_rt_device loudspeaker = device_of(0, 1, 512), none = device_of(0, 0, 0);
    ae_rt_open(rt, &loudspeaker);
    take_tap(rt, 0, expected);
    CHECK(ae_rt_callback(NULL, played, 4800, NULL, 0, rt) == 0);
    CHECK(ae_energy(played, 4800) == 0.0f); /* not the last frame again and again */
    CHECK(take_tap(rt, 0, expected) == 4800 && ae_energy(tap, 3 * 4800) == 0.0f);
    const ae_rt_device microphone = device_of(1, 0, 512);
    ae_rt_open(rt, &microphone);
    CHECK(ae_rt_callback(mic_in, NULL, 4800, NULL, 0, rt) == 0);
    CHECK(take_tap(rt, 0, expected) == 4800 && differences(expected, mic_in, 4800) == 0);
    ae_rt_report report;
    ae_rt_read(rt, &report);
    CHECK(report.adapter_frames == 0);
    ae_rt_open(rt, &none);
    CHECK(ae_rt_callback(NULL, NULL, 4800, NULL, 0, rt) == 0);
    CHECK(take_tap(rt, 0, expected) == 0);
    ae_rt_destroy(rt);
    ae_graph_destroy(wire);
}

static void test_full_queues_are_harmless(void)
{
    fill_noise();
    ae_graph *wire = make_wire(k_rate, 1, 1);
    ae_rt_config config = mono_config(wire);
    config.tap_frames = 1024;
    ae_rt *rt;
    CHECK(ae_rt_create(&rt, &config) == AE_OK);
    ae_rt_device device = device_of(1, 1, 48);
    device.buffer_s = 0.0; /* each callback comes too late */
    ae_rt_open(rt, &device);
    drive(rt, 48, 0, 48000);
    ae_rt_report report;
    ae_rt_read(rt, &report);
    CHECK(report.record_overruns == 48000 - 1024 && report.callback.late_callbacks >= 990);
    CHECK(take_tap(rt, 0, expected) == 1024 && differences(expected, mic_in, 1024) == 0);
    static ae_rt_log_entry log[2000];
    CHECK(ae_rt_read_log(rt, log, 2000) == 256); /* the oldest are kept */
    CHECK(log[0].code == AE_RT_LOG_STARTED && log[0].value == -1.0);
    int full = 0;
    for (int i = 1; i < 256; i++) {
        CHECK(log[i].frame >= log[i - 1].frame);
        CHECK(log[i].code == AE_RT_LOG_LATE || log[i].code == AE_RT_LOG_RECORD_FULL);
        full += log[i].code == AE_RT_LOG_RECORD_FULL;
    }
    CHECK(full == 1);
    const ae_rt_command mute = {.kind = AE_RT_MUTE, .on = 1};
    int posted = 0;
    while (posted < 1000 && ae_rt_post(rt, &mute) == AE_OK) posted++;
    CHECK(posted == 64 && ae_rt_post(rt, &mute) == AE_ERROR_FULL);
    drive(rt, 480, 0, 8 * 480); /* eight commands a frame */
    CHECK(ae_rt_post(rt, &mute) == AE_OK);
    ae_rt_destroy(rt);
    ae_graph_destroy(wire);
}

/* A device that announced nothing gives 240 ms at once: that is no load of 24. */
static void test_long_blocks_are_no_load(void)
{
    fill_tone(0.5f);
    light engine;
    make_light(&engine);
    float p50_us[2];
    for (int i = 0; i < 2; i++) {
        ae_rt *rt = make_engine(engine.graph, 0);
        drive(rt, i == 0 ? k_block : 24 * k_block, 0, k_length);
        ae_rt_report report;
        ae_rt_read(rt, &report);
        CHECK(report.load.block_us == 10000.0f);
        p50_us[i] = report.load.p50_us;
        ae_rt_destroy(rt);
    }
    CHECK(p50_us[0] > 0.0f && p50_us[1] < 8.0f * p50_us[0]);
    destroy_light(&engine);
}

static int is_bad(const float *values, int count, float limit)
{
    for (int n = 0; n < count; n++) {
        if (!(fabsf(values[n]) <= limit)) return 1;
    }
    return 0;
}

/* From the microphone and the far end: not to the loudspeaker, the tap, or the meters. */
static void test_bad_samples_go_nowhere(void)
{
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-42f, 65.0f};
    fill_noise();
    for (int n = 4800; n < 14400; n += 13) {
        mic_in[n] = bad[n % 7];
        far_in[n + 5] = bad[(n + 3) % 7];
    }
    for (int bypass = 0; bypass <= 1; bypass++) {
        light engine;
        make_light(&engine);
        ae_rt *rt = make_engine(engine.graph, 480);
        post(rt, AE_RT_MONITOR, 0, 1.0f);
        post(rt, AE_RT_BYPASS, bypass, 2.0f);
        ae_far_queue_write(ae_rt_far_queue(rt), far_in, k_length);
        const int end = drive(rt, 480, 0, 70000);
        CHECK(!is_bad(played, end, 1.0f));
        CHECK(ae_rt_read_tap(rt, tap, k_length) == end && !is_bad(tap, 3 * end, 64.0f));
        int full_scale = 0;
        for (int n = 0; n < end; n++) full_scale += fabsf(played[n]) == 1.0f;
        CHECK(full_scale < 100);
        ae_rt_report report;
        ae_rt_read(rt, &report);
        const ae_rt_level levels[] = {report.input, report.output, report.far};
        for (int i = 0; i < 3; i++) {
            CHECK(levels[i].peak > 0.1f && levels[i].held_peak < 1.1f);
            CHECK(levels[i].momentary_lufs > -40.0f && levels[i].momentary_lufs < 3.0f);
        }
        ae_rt_destroy(rt);
        destroy_light(&engine);
    }
}

static void test_xruns_are_told(void)
{
    fill_tone(0.5f);
    ae_graph *wire = make_wire(k_rate, 1, 1);
    ae_rt *rt = make_engine(wire, k_block);
    double time[] = {1.0, 1.010, 1.040};
    const unsigned long flags[] = {16, 4, 0, 20, 2};
    for (int i = 0; i < 5; i++) ae_rt_callback(mic_in, played, k_block, time, flags[i], rt);
    ae_rt_report report;
    ae_rt_read(rt, &report);
    CHECK(report.callback.output_underflows == 1 && report.callback.input_overflows == 1);
    CHECK(report.callback.late_callbacks == 0);
    CHECK_NEAR(report.callback.input_delay_s, 0.010, 1e-9);
    CHECK_NEAR(report.callback.output_delay_s, 0.030, 1e-9);
    ae_rt_log_entry log[8];
    CHECK(ae_rt_read_log(rt, log, 8) == 3);
    CHECK(log[0].code == AE_RT_LOG_STARTED && log[1].code == AE_RT_LOG_XRUN);
    CHECK(log[1].value == 4.0 && log[1].frame == k_block && log[2].value == 2.0);
    ae_rt_destroy(rt);
    ae_graph_destroy(wire);
}

/* ---- no allocation, the caller's floating-point mode ---- */

static void test_the_callback_allocates_nothing_and_keeps_the_mode(void)
{
    fill_noise();
    light engine;
    make_light(&engine);
    ae_graph *next = light_plan(&engine.kernels);
    ae_rt *rt = make_engine(engine.graph, 512);
    ae_far_queue_write(ae_rt_far_queue(rt), far_in, 20000);
    const uint64_t counted = ae_allocation_count();
    const long hooked = library_allocations;
    post(rt, AE_RT_FAR, 1, 0.0f);
    post(rt, AE_RT_BYPASS, 1, 1.0f);
    CHECK(post_swap(rt, next, 1) == AE_OK);
    drive(rt, 512, 0, k_length);
    CHECK(ae_allocation_count() == counted);
    CHECK(library_allocations == hooked);
    CHECK(!HOOKED || hooked > 0); /* the hook does see allocations */
    volatile float tiny = 1e-39f;
    volatile float kept = tiny * 0.5f;
    CHECK(kept != 0.0f);
    ae_rt_destroy(rt);
    ae_graph_destroy(next);
    destroy_light(&engine);
}

/* ---- threads ---- */

static void test_threads(void)
{
    const int64_t operations = stress_operations();
    control_side side = {.is_out = {1}, .outstanding = 1};
    for (int i = 0; i < k_wires; i++) side.wires[i] = make_wire(8000, 1, 1);
    ae_rt_config config = mono_config(side.wires[0]);
    config.sample_rate_hz = 8000;
    config.far_queue_frames = 4096;
    config.tap_frames = 8192;
    stress shared = {.lock = PTHREAD_MUTEX_INITIALIZER};
    CHECK(ae_rt_create(&shared.rt, &config) == AE_OK);
    const ae_rt_device device = device_of(1, 1, k_device_frames);
    ae_rt_open(shared.rt, &device);
    pthread_t threads[2];
    CHECK(pthread_create(&threads[0], NULL, call, &shared) == 0);
    CHECK(pthread_create(&threads[1], NULL, feed, &shared) == 0);
    control(&side, &shared, operations);
    pthread_mutex_lock(&shared.lock);
    shared.done = 1;
    pthread_mutex_unlock(&shared.lock);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    while (check_tap(&side, shared.rt) > 0) continue;
    ae_rt_report report;
    ae_rt_read(shared.rt, &report);
    CHECK(side.wrong == 0);
    CHECK(side.tapped + report.record_overruns == report.frames); /* each is there or counted */
    CHECK(side.jumps <= report.record_overruns);
    CHECK(side.frames > 0 && side.outstanding >= 1);
    printf("%lld callbacks, %lld of the far end, %lld of control, %lld swaps\n",
           (long long)shared.operations[0], (long long)shared.operations[1],
           (long long)shared.operations[2], (long long)side.swaps);
    ae_rt_destroy(shared.rt);
    for (int i = 0; i < k_wires; i++) ae_graph_destroy(side.wires[i]);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_limits();
    test_any_device_block();
    test_a_device_that_does_not_keep_its_word();
    test_live_equals_offline();
    test_the_far_end_is_played_unchanged();
    test_a_loopback_is_the_reference();
    test_channels_of_engine_and_device();
    test_bypass_is_the_microphone_at_the_graphs_latency();
    test_mute_and_monitor_fade();
    test_stop_fades_and_completes();
    test_a_swap_makes_no_click_and_gives_the_old_graph_back();
    test_queued_swaps_come_one_after_the_other();
    test_killed_in_the_middle_of_a_swap();
    test_time_without_a_device();
    test_time_passes_until_a_device_calls();
    test_a_device_without_a_microphone();
    test_full_queues_are_harmless();
    test_long_blocks_are_no_load();
    test_bad_samples_go_nowhere();
    test_xruns_are_told();
    test_the_callback_allocates_nothing_and_keeps_the_mode();
    test_threads();
    return AE_TEST_RESULT();
}
