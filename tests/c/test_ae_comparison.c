/* Truths: off, nothing is touched; on, the output is the microphone, late by the delay, times the
 * gain, but for rounding; no switch, gain or delay makes a click. */
#include "ae_comparison.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_block = 480, k_rate = 48000, k_most_delay = 4800 };

static void test_limits(void)
{
    ae_comparison *comparison = (ae_comparison *)&comparison;
    CHECK(ae_comparison_create(&comparison, 0, k_block, 0) == AE_ERROR_ARGUMENT &&
          comparison == NULL);
    CHECK(ae_comparison_create(&comparison, 9, k_block, 0) == AE_ERROR_ARGUMENT);
    CHECK(ae_comparison_create(&comparison, 1, 0, 0) == AE_ERROR_ARGUMENT);
    CHECK(ae_comparison_create(&comparison, 1, k_block, -1) == AE_ERROR_ARGUMENT);
    ae_comparison_destroy(NULL);
}

static float noise_at(int n, int channel)
{
    uint32_t seed = 1u + 2u * (uint32_t)(n + 100000 * channel);
    for (int i = 0; i < 3; i++) (void)ae_random(&seed);
    return ae_random(&seed);
}

static void test_the_microphone_at_the_delay_and_gain(void)
{
    const int delays[] = {0, 1, 479, 480, 481, 1037, k_most_delay};
    for (int i = 0; i < 7; i++) {
        ae_comparison *comparison;
        CHECK(ae_comparison_create(&comparison, 2, k_block, k_most_delay) == AE_OK);
        const uint64_t allocations = ae_allocation_count();
        const float gain = 0.25f;
        int wrong = 0;
        for (int b = 0; b < 40; b++) {
            float dry[2][k_block], wet[2][k_block];
            const float *in[] = {dry[0], dry[1]};
            float *out[] = {wet[0], wet[1]};
            for (int c = 0; c < 2; c++) {
                for (int n = 0; n < k_block; n++) dry[c][n] = noise_at(b * k_block + n, c);
                ae_fill(wet[c], 3.0f, k_block);
            }
            if (b == 20) ae_comparison_set(comparison, 1, gain);
            ae_comparison_process(comparison, in, delays[i], out);
            for (int c = 0; c < 2; c++) {
                for (int n = 0; n < k_block; n++) {
                    const float late = gain * noise_at(b * k_block + n - delays[i], c);
                    if (b < 20) wrong += wet[c][n] != 3.0f;
                    if (b > 20) wrong += fabsf(wet[c][n] - late) > 1e-6f;
                }
            }
        }
        CHECK(wrong == 0);
        CHECK(ae_allocation_count() == allocations);
        ae_comparison_destroy(comparison);
    }
}

/* A 200 Hz tone, processed into silence: whatever is switched, no step is larger than that of the
 * tone itself, the cross-fade of 10 ms and a fade between two phases together. */
static void test_nothing_clicks(void)
{
    ae_comparison *comparison;
    CHECK(ae_comparison_create(&comparison, 1, k_block, k_most_delay) == AE_OK);
    const float tone_step = 2.0f * k_ae_pi * 200.0f / (float)k_rate;
    float last = 0.0f, largest = 0.0f, loudest = 0.0f;
    int delay = 480;
    for (int b = 0; b < 200; b++) {
        float dry[k_block], wet[k_block] = {0};
        const float *in[] = {dry};
        float *out[] = {wet};
        for (int n = 0; n < k_block; n++)
            dry[n] = sinf(tone_step * (float)((b * k_block + n) % k_rate));
        if (b % 13 == 3) ae_comparison_set(comparison, 1, b % 26 == 3 ? 1.0f : 0.3f);
        if (b % 29 == 28) ae_comparison_set(comparison, 0, 0.0f);
        if (b % 11 == 10) delay = delay == 480 ? 537 : 480; /* another graph: a quarter wave */
        ae_comparison_process(comparison, in, delay, out);
        for (int n = 0; n < k_block; n++) {
            largest = fmaxf(largest, fabsf(wet[n] - last));
            last = wet[n];
            loudest = fmaxf(loudest, fabsf(last));
        }
    }
    CHECK(largest < tone_step + 3.0f / k_block);
    CHECK(loudest > 0.99f && loudest <= 1.0f);
    ae_comparison_destroy(comparison);
}

/* A delay beyond what was asked for at create is held within it. */
static void test_a_delay_too_long_is_harmless(void)
{
    ae_comparison *comparison;
    CHECK(ae_comparison_create(&comparison, 1, k_block, 100) == AE_OK);
    ae_comparison_set(comparison, 1, 1.0f);
    for (int b = 0; b < 4; b++) {
        float dry[k_block], wet[k_block] = {0};
        const float *in[] = {dry};
        float *out[] = {wet};
        for (int n = 0; n < k_block; n++) dry[n] = noise_at(b * k_block + n, 0);
        ae_comparison_process(comparison, in, 1 << 30, out);
        if (b < 2) continue;
        for (int n = 0; n < k_block; n++)
            CHECK_NEAR(wet[n], noise_at(b * k_block + n - 100, 0), 1e-6);
    }
    ae_comparison_destroy(comparison);
}

int main(void)
{
    test_limits();
    test_the_microphone_at_the_delay_and_gain();
    test_nothing_clicks();
    test_a_delay_too_long_is_harmless();
    return AE_TEST_RESULT();
}
