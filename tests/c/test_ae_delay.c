#include "ae_delay.h"

#include "ae_math.h"
#include "ae_test.h"

#include <stdlib.h>

/* Coloured noise with pauses stands for speech; the far end goes through a pure delay. */
static float *make_far_end(int frames, int rate)
{
    float *far = calloc((size_t)frames, sizeof *far);
    uint32_t seed = 7;
    float low = 0.0f;
    for (int i = 0; i < frames; i++) {
        low += 0.3f * (ae_random(&seed) - low);
        far[i] = i % rate < rate * 3 / 4 ? low : 0.0f;
    }
    return far;
}

static ae_delay_report run(int rate, int max_delay_ms, int delay_frames, float echo_gain,
                           int frames)
{
    const int block = ae_block_frames(rate);
    float *far = make_far_end(frames, rate), *capture = calloc((size_t)frames, sizeof *capture);
    uint32_t seed = 99;
    for (int i = 0; i < frames; i++)
        capture[i] = (i >= delay_frames ? echo_gain * far[i - delay_frames] : 0.0f) +
                     1e-3f * ae_random(&seed);
    ae_delay *delay;
    const ae_delay_config config = {rate, max_delay_ms};
    CHECK(ae_delay_create(&delay, &config) == AE_OK);
    const uint64_t before = ae_allocation_count();
    ae_delay_report report = {0};
    for (int i = 0; i + block <= frames; i += block) ae_delay_process(delay, capture + i, far + i);
    ae_delay_read(delay, &report);
    CHECK(ae_allocation_count() == before);
    ae_delay_destroy(delay);
    free(far);
    free(capture);
    return report;
}

static void test_known_delays_are_found_at_every_rate(void)
{
    static const int rates[] = {8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000};
    static const int delays_ms[] = {0, 3, 40, 137, 500, 999};
    for (int r = 0; r < 8; r++)
        for (int d = 0; d < 6; d++) {
            const int frames = (int)((int64_t)delays_ms[d] * rates[r] / 1000);
            const ae_delay_report report = run(rates[r], 1000, frames, 0.3f, 3 * rates[r]);
            CHECK(report.accepted > 0);
            /* to a fifth of a sample of the decimated rate */
            CHECK_NEAR(report.lag_frames, frames, 0.2f * (float)(rates[r] / 8000) + 0.2f);
        }
}

static void test_no_echo_is_no_delay(void)
{
    CHECK(run(16000, 1000, 0, 0.0f, 20 * 16000).accepted == 0);
}

static void test_a_short_range_is_kept(void)
{
    CHECK(run(48000, 100, 48 * 60, 0.3f, 96000).accepted > 0);
    CHECK(run(48000, 0, 0, 0.3f, 96000).accepted > 0);
}

/* Reported within 0.4 s after a jump when told to forget, and then no more at the old place. */
static void test_a_jump_is_followed(void)
{
    enum { k_rate = 16000, k_block = 160, k_frames = 4 * k_rate, k_jump = 2 * k_rate };
    float *far = make_far_end(k_frames, k_rate);
    ae_delay *delay;
    const ae_delay_config config = {k_rate, 1000};
    CHECK(ae_delay_create(&delay, &config) == AE_OK);
    float capture[k_block];
    ae_delay_report report = {0};
    int found_at = -1;
    for (int i = 0; i + k_block <= k_frames; i += k_block) {
        for (int j = 0; j < k_block; j++) {
            const int from = i + j - (i < k_jump ? 800 : 2000);
            capture[j] = from >= 0 ? 0.5f * far[from] : 0.0f;
        }
        if (i == k_jump) ae_delay_forget(delay);
        ae_delay_process(delay, capture, far + i);
        ae_delay_read(delay, &report);
        if (i < k_jump && i > k_rate) CHECK_NEAR(report.lag_frames, 800, 0.5);
        if (i >= k_jump && found_at < 0 && fabsf(report.lag_frames - 2000.0f) < 1.0f) found_at = i;
    }
    CHECK(found_at > 0 && found_at < k_jump + k_rate * 4 / 10);
    CHECK_NEAR(report.lag_frames, 2000, 0.5);
    ae_delay_destroy(delay);
    free(far);
}

static void test_reset_is_new_and_bad_weather_passes(void)
{
    enum { k_rate = 44100, k_block = 441, k_frames = 2 * k_rate };
    float *far = make_far_end(k_frames, k_rate);
    ae_delay *used, *fresh;
    const ae_delay_config config = {k_rate, 500};
    CHECK(ae_delay_create(&used, &config) == AE_OK);
    CHECK(ae_delay_create(&fresh, &config) == AE_OK);
    float weather[5][k_block];
    for (int j = 0; j < k_block; j++) {
        weather[0][j] = 0.0f;
        weather[1][j] = 64.0f;
        weather[2][j] = j % 100 < 50 ? 64.0f : -64.0f;
        weather[3][j] = 1e-40f;
        weather[4][j] = j % 2 ? 64.0f : -64.0f;
    }
    ae_delay_report report;
    for (int kind = 0; kind < 25; kind++)
        for (int i = 0; i < 40; i++) {
            ae_delay_process(used, weather[kind % 5], weather[kind / 5]);
            ae_delay_read(used, &report);
            CHECK(isfinite(report.quality) && isfinite(report.lag_frames));
        }
    ae_delay_reset(used);
    for (int i = 4410; i + k_block <= k_frames; i += k_block) {
        ae_delay_report a, b;
        ae_delay_process(used, far + i - 4410, far + i);
        ae_delay_process(fresh, far + i - 4410, far + i);
        ae_delay_read(used, &a);
        ae_delay_read(fresh, &b);
        CHECK(a.quality == b.quality && a.lag_frames == b.lag_frames && a.rounds == b.rounds);
    }
    ae_delay_destroy(used);
    ae_delay_destroy(fresh);
    free(far);
}

static void test_configuration_is_checked(void)
{
    ae_delay *delay;
    const ae_delay_config bad[] = {{7999, 100}, {96001, 100}, {48000, -1}, {48000, 1001}};
    for (int i = 0; i < 4; i++)
        CHECK(ae_delay_create(&delay, &bad[i]) == AE_ERROR_ARGUMENT && delay == NULL);
}

int main(void)
{
    test_known_delays_are_found_at_every_rate();
    test_no_echo_is_no_delay();
    test_a_short_range_is_kept();
    test_a_jump_is_followed();
    test_reset_is_new_and_bad_weather_passes();
    test_configuration_is_checked();
    return AE_TEST_RESULT();
}
