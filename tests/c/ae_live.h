/* ae_live.h - small graphs, a live engine around them, and a device that calls it; for tests of
 * ae_rt. */
#ifndef AE_LIVE_H
#define AE_LIVE_H

#include "ae_chain.h"
#include "ae_math.h"
#include "ae_rt.h"
#include "ae_test.h"

enum { k_rate = 48000, k_block = 480, k_length = 72000 };

static float mic_in[k_length], far_in[k_length], played[k_length], expected[k_length];
static float tap[3 * k_length]; /* microphone, reference, processed */

/* ---- graphs, engines, signals ---- */

/* High-pass and limiter only: cheap, and with a latency. */
typedef struct {
    ae_chain kernels;
    ae_graph *graph;
} light;

static ae_graph *light_plan(const ae_chain *kernels)
{
    const ae_step steps[] = {
        {AE_STEP_HIGHPASS, 0, -1, 2, -1, {kernels->highpass}},
        {AE_STEP_LIMITER, 2, -1, 3, -1, {kernels->limiter}},
    };
    const int bus_channels[] = {1, 1, 1, 1}, inputs[] = {0, 1}, outputs[] = {3};
    const ae_graph_config config = {k_rate, 4, bus_channels, 2, inputs, 1, outputs, 2, steps};
    ae_graph *graph = NULL;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    return graph;
}

static void make_light(light *made)
{
    memset(made, 0, sizeof *made);
    const ae_highpass_config highpass = ae_highpass_default_config(k_rate);
    const ae_limiter_config limiter = ae_limiter_default_config(k_rate);
    CHECK(ae_highpass_create(&made->kernels.highpass, &highpass) == AE_OK);
    CHECK(ae_limiter_create(&made->kernels.limiter, &limiter) == AE_OK);
    made->graph = light_plan(&made->kernels);
}

static void destroy_light(light *made)
{
    ae_graph_destroy(made->graph);
    ae_chain_destroy(&made->kernels);
}

/* No steps at all: output 0 is input 0. */
static ae_graph *make_wire(int rate, int channels, int far_channels)
{
    const int bus_channels[] = {channels, far_channels}, inputs[] = {0, 1}, outputs[] = {0};
    const ae_graph_config config = {rate, 2, bus_channels, 2, inputs, 1, outputs, 0, NULL};
    ae_graph *graph = NULL;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    return graph;
}

static ae_rt_config mono_config(ae_graph *graph)
{
    return (ae_rt_config){.sample_rate_hz = k_rate,
                          .capture_channels = 1,
                          .render_channels = 1,
                          .far_queue_frames = k_length + k_block,
                          .tap_frames = k_length,
                          .graph = graph};
}

/* One that is never late and wants no priority: a test must not take the machine. */
static ae_rt_device device_of(int input_channels, int output_channels, int block_frames)
{
    return (ae_rt_device){.input_channels = input_channels,
                          .output_channels = output_channels,
                          .device_block_frames = block_frames,
                          .buffer_s = 1000.0};
}

static ae_rt *make_engine(ae_graph *graph, int device_block)
{
    const ae_rt_config config = mono_config(graph);
    const ae_rt_device device = device_of(1, 1, device_block);
    ae_rt *rt = NULL;
    CHECK(ae_rt_create(&rt, &config) == AE_OK);
    ae_rt_open(rt, &device);
    return rt;
}

static void post(ae_rt *rt, int kind, int on, float value)
{
    const ae_rt_command command = {.kind = kind, .on = on, .value = value};
    CHECK(ae_rt_post(rt, &command) == AE_OK);
}

static ae_status post_swap(ae_rt *rt, ae_graph *graph, int serial)
{
    const ae_rt_command command = {.kind = AE_RT_SWAP, .graph = graph, .serial = serial};
    return ae_rt_post(rt, &command);
}

static void fill_noise(void)
{
    uint32_t seed = 3;
    for (int n = 0; n < k_length; n++) {
        far_in[n] = 0.4f * ae_random(&seed);
        mic_in[n] = 0.2f * ae_random(&seed) + (n >= 700 ? 0.3f * far_in[n - 700] : 0.0f);
    }
}

static const float k_tone_step = 2.0f * 3.14159265f * 250.0f / 48000.0f; /* of a full tone */

static void fill_tone(float level)
{
    for (int n = 0; n < k_length; n++) {
        mic_in[n] = level * sinf(k_tone_step * (float)(n % 192));
        far_in[n] = 0.0f;
    }
}

/* The device calls from frame `from` on, as long as whole blocks fit; 0: blocks of any length.
 * Returns the frame that comes next. */
static int drive(ae_rt *rt, int device_block, int from, int to)
{
    uint32_t seed = 17;
    for (;;) {
        const int any = 1 + (int)(fabsf(ae_random(&seed)) * 1500.0f);
        const int frames = device_block > 0 ? device_block : any;
        if (from + frames > to) return from;
        CHECK(ae_rt_callback(mic_in + from, played + from, (unsigned long)frames, NULL, 0, rt) ==
              0);
        from += frames;
    }
}

static int differences(const float *a, const float *b, int count)
{
    int different = 0;
    for (int n = 0; n < count; n++) different += a[n] != b[n];
    return different;
}

static float largest_jump(const float *values, int count)
{
    float largest = 0.0f;
    for (int n = 1; n < count; n++) largest = fmaxf(largest, fabsf(values[n] - values[n - 1]));
    return largest;
}

/* Takes the tap's frames; channel 0: microphone, 1: reference, 2: processed. */
static int take_tap(ae_rt *rt, int channel, float *out)
{
    const int frames = ae_rt_read_tap(rt, tap, k_length);
    for (int n = 0; n < frames; n++) out[n] = tap[3 * n + channel];
    return frames;
}

#endif
