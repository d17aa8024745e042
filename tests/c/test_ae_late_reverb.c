/* Truths: exponential decays of known slope; the closed form of the late power. */
#include "ae_late_reverb.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_points = 257 };

static ae_late_reverb *make(void)
{
    const ae_late_reverb_config config = {k_points, {6, 16, 38, 80, 160}, 10.0f};
    ae_late_reverb *self = NULL;
    CHECK(ae_late_reverb_create(&self, &config) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const ae_late_reverb_config bad[] = {{0, {0, 1, 2, 3, 4}, 10.0f},
                                         {257, {-1, 1, 2, 3, 4}, 10.0f},
                                         {257, {0, 1, 1, 3, 4}, 10.0f},
                                         {257, {0, 1, 2, 3, 258}, 10.0f},
                                         {257, {0, 1, 2, 3, 4}, NAN}};
    for (int i = 0; i < 5; i++) {
        ae_late_reverb *self = (ae_late_reverb *)&bad;
        CHECK(ae_late_reverb_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_late_reverb_destroy(NULL);
}

/* Syllables of 120 ms that decay with the room's slope for 180 ms. */
static float syllable_power(int t, float decay_s)
{
    const int phase = t % 30;
    return phase < 12 ? 1e-2f : 1e-2f * powf(10.0f, -6.0f * 0.01f * (float)(phase - 11) / decay_s);
}

static void run(ae_late_reverb *self, float decay_s, int hops, float *reverb)
{
    float power[k_points], noise[k_points];
    ae_fill(noise, 1e-9f, k_points);
    for (int t = 0; t < hops; t++) {
        ae_fill(power, syllable_power(t, decay_s), k_points);
        ae_late_reverb_update(self, power, noise, 1.0f, reverb);
    }
}

static void test_decay_time_is_found(void)
{
    const float rooms_s[] = {0.3f, 0.5f, 0.8f, 1.2f};
    float last = 0.0f, reverb[k_points];
    for (int i = 0; i < 4; i++) {
        ae_late_reverb *self = make();
        run(self, rooms_s[i], 900, reverb);
        CHECK(ae_late_reverb_decay_s(self) > last);
        CHECK_NEAR(ae_late_reverb_decay_s(self) / rooms_s[i], 1.1, 0.45);
        last = ae_late_reverb_decay_s(self);
        ae_late_reverb_destroy(self);
    }
}

static void test_dry_speech_is_left_alone(void)
{
    ae_late_reverb *self = make();
    float reverb[k_points];
    run(self, 0.1f, 1200, reverb); /* what the analysis window makes of an abrupt end */
    CHECK(ae_late_reverb_decay_s(self) < 0.1f);
    run(self, 0.1f, 20, reverb); /* 80 ms after the end of a syllable */
    for (int k = 0; k < k_points; k++) CHECK(reverb[k] < 1e-2f * 1e-3f);
    ae_late_reverb_destroy(self);
}

static void test_late_power_in_closed_form(void)
{
    ae_late_reverb *self = make();
    float power[k_points], noise[k_points], reverb[k_points];
    run(self, 0.6f, 900, reverb);
    const double decay_s = (double)ae_late_reverb_decay_s(self);
    ae_fill(power, 3e-3f, k_points);
    ae_fill(noise, 1e-3f, k_points);
    for (int t = 0; t < 60; t++) ae_late_reverb_update(self, power, noise, 0.5f, reverb);
    const double late = 0.5 * 0.8 * pow(10.0, -6.0 * 0.05 / decay_s) * 2e-3;
    for (int k = 0; k < k_points; k++) CHECK_NEAR((double)reverb[k] / late, 1.0, 0.02);
    ae_late_reverb_destroy(self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    ae_late_reverb *self = make(), *fresh = make();
    float power[k_points], a[k_points], b[k_points];
    const float levels[] = {0.0f, 4096.0f, 1e-38f};
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 300; t++) {
        ae_fill(power, levels[t / 7 % 3], k_points);
        ae_late_reverb_update(self, power, power, 1.0f, a);
        for (int k = 0; k < k_points; k++) CHECK(a[k] >= 0.0f && a[k] <= 4096.0f);
    }
    ae_late_reverb_reset(self);
    run(self, 0.7f, 700, a);
    run(fresh, 0.7f, 700, b);
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(ae_allocation_count() == allocations);
    ae_late_reverb_destroy(self);
    ae_late_reverb_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_decay_time_is_found();
    test_dry_speech_is_left_alone();
    test_late_power_in_closed_form();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
