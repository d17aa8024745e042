/* Truths: a step gives what its kernel gives alone; a far end of several channels is mixed for the
 * filter, to as many as it takes, and left alone for others; commands reach their kernel and
 * nothing else. */
#include "ae_graph.h"
#include "ae_math.h"
#include "ae_test.h"

#include <string.h>

enum { k_rate = 48000, k_block = 480 };

static void make_noise(float *to, int count, float level, uint32_t *seed)
{
    for (int n = 0; n < count; n++) to[n] = level * ae_random(seed);
}

static void test_graph_equals_the_kernel(void)
{
    ae_limiter *inside, *beside;
    const ae_limiter_config limiter_config = ae_limiter_default_config(k_rate);
    CHECK(ae_limiter_create(&inside, &limiter_config) == AE_OK);
    CHECK(ae_limiter_create(&beside, &limiter_config) == AE_OK);
    const int channels[] = {1}, buses[] = {0};
    const ae_step step = {AE_STEP_LIMITER, 0, -1, 0, -1, {inside}};
    const ae_graph_config config = {k_rate, 1, channels, 1, buses, 1, buses, 1, &step};
    ae_graph *graph;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    CHECK(ae_graph_latency_frames(graph) == ae_limiter_latency_frames(beside));
    uint32_t seed = 3;
    for (int b = 0; b < 20; b++) {
        float x[k_block], y[k_block], z[k_block];
        make_noise(x, k_block, 2.0f, &seed);
        const float *in[] = {x};
        float *out[] = {y}, *expected[] = {z};
        ae_graph_process(graph, in, out);
        ae_limiter_process(beside, in, expected);
        CHECK(memcmp(y, z, sizeof y) == 0);
    }
    ae_graph_destroy(graph);
    ae_limiter_destroy(inside);
    ae_limiter_destroy(beside);
}

static void test_stereo_far_end_is_averaged_and_left_alone(void)
{
    ae_echo_filter *filter;
    const ae_echo_filter_config echo = ae_echo_filter_default_config(k_rate);
    CHECK(ae_echo_filter_create(&filter, &echo) == AE_OK);
    const int channels[] = {1, 2, 1}, inputs[] = {0, 1}, outputs[] = {2, 1};
    const ae_step step = {AE_STEP_ECHO, 0, 1, 2, -1, {filter}};
    const ae_graph_config config = {k_rate, 3, channels, 2, inputs, 2, outputs, 1, &step};
    ae_graph *graph;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    uint32_t seed = 21;
    double before = 0.0, after = 0.0;
    for (int b = 0; b < 200; b++) {
        float mic[k_block], left[k_block], right[k_block], out[k_block], far[2][k_block];
        make_noise(left, k_block, 0.3f, &seed);
        make_noise(right, k_block, 0.3f, &seed);
        for (int n = 0; n < k_block; n++) mic[n] = 0.4f * (left[n] + right[n]);
        const float *in[] = {mic, left, right};
        float *outs[] = {out, far[0], far[1]};
        ae_graph_process(graph, in, outs);
        CHECK(memcmp(far[0], left, sizeof left) == 0 && memcmp(far[1], right, sizeof right) == 0);
        if (b >= 150) {
            before += (double)ae_energy(mic, k_block);
            after += (double)ae_energy(out, k_block);
        }
    }
    CHECK(10.0 * log10(before / after) > 20.0);
    ae_graph_destroy(graph);
    ae_echo_filter_destroy(filter);
}

/* A filter of two references behind a far bus of 1 .. 5 channels: what the kernel gives alone with
 * the mean of the even and that of the odd channels; one channel is both. */
static void test_two_references_are_the_even_and_the_odd_channels(void)
{
    for (int far_channels = 1; far_channels <= 5; far_channels++) {
        ae_echo_filter *inside, *beside;
        ae_echo_filter_config echo = ae_echo_filter_default_config(k_rate);
        echo.far_channels = 2;
        CHECK(ae_echo_filter_create(&inside, &echo) == AE_OK);
        CHECK(ae_echo_filter_create(&beside, &echo) == AE_OK);
        const int channels[] = {1, far_channels}, inputs[] = {0, 1}, outputs[] = {0};
        const ae_step step = {AE_STEP_ECHO, 0, 1, 0, -1, {inside}};
        const ae_graph_config config = {k_rate, 2, channels, 2, inputs, 1, outputs, 1, &step};
        ae_graph *graph;
        CHECK(ae_graph_create(&graph, &config) == AE_OK);
        uint32_t seed = 21;
        for (int b = 0; b < 60; b++) {
            float mic[k_block], far[5][k_block], side[2][k_block], out[k_block], alone[k_block];
            const float *in[6] = {mic}, *sides[2] = {side[0], side[1]};
            float *outs[] = {out};
            for (int c = 0; c < far_channels; c++) make_noise(far[c], k_block, 0.3f, &seed);
            for (int c = 0; c < far_channels; c++) in[1 + c] = far[c];
            for (int n = 0; n < k_block; n++) {
                float sum[2] = {0.0f, 0.0f};
                for (int c = 0; c < far_channels; c++) sum[c % 2] += far[c][n];
                side[0][n] = sum[0] / (float)((far_channels + 1) / 2);
                side[1][n] = far_channels > 1 ? sum[1] / (float)(far_channels / 2) : side[0][n];
                mic[n] = 0.4f * side[0][n] - 0.2f * side[1][n];
            }
            ae_graph_process(graph, in, outs);
            ae_echo_filter_process(beside, mic, sides, alone);
            for (int n = 0; n < k_block; n++) CHECK_NEAR(out[n], alone[n], 1e-4);
        }
        ae_graph_destroy(graph);
        ae_echo_filter_destroy(inside);
        ae_echo_filter_destroy(beside);
    }
}

static void test_commands_reach_their_kernel_only(void)
{
    ae_highpass *highpass;
    const ae_highpass_config config = ae_highpass_default_config(k_rate);
    CHECK(ae_highpass_create(&highpass, &config) == AE_OK);
    const ae_step step = {AE_STEP_HIGHPASS, 0, -1, 0, -1, {highpass}};
    const ae_command foreign = {0, AE_PARAMETER_CEILING_DBTP, -20.0f};
    const ae_command own = {0, AE_PARAMETER_CUTOFF_HZ, 300.0f};
    double power[3] = {0};
    for (int phase = 0; phase < 3; phase++) {
        if (phase == 1) ae_step_apply(&step, &foreign);
        if (phase == 2) ae_step_apply(&step, &own);
        for (int b = 0; b < 100; b++) {
            float tone[k_block];
            for (int n = 0; n < k_block; n++) {
                tone[n] = sinf(2.0f * k_ae_pi * 100.0f * (float)(b * k_block + n) / (float)k_rate);
            }
            const float *in[] = {tone};
            float *out[] = {tone};
            ae_highpass_process(highpass, in, out);
            if (b >= 50) power[phase] += (double)ae_energy(tone, k_block);
        }
    }
    CHECK_NEAR(10.0 * log10(power[1] / power[0]), 0.0, 0.01);
    CHECK(10.0 * log10(power[2] / power[0]) < -20.0);
    CHECK(ae_step_verbs_of(-1) == NULL && ae_step_verbs_of(AE_STEP_LOUDNESS + 1) == NULL);
    ae_highpass_destroy(highpass);
}

int main(void)
{
    test_graph_equals_the_kernel();
    test_stereo_far_end_is_averaged_and_left_alone();
    test_two_references_are_the_even_and_the_odd_channels();
    test_commands_reach_their_kernel_only();
    return AE_TEST_RESULT();
}
