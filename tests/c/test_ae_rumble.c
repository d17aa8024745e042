/* Truths: where a voice of known pitch begins; what is too soft to hear stays. */
#include "ae_rumble.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_points = 257 };
static const float k_bin_hz = 31.25f;

static ae_rumble *make(void)
{
    ae_rumble *self = NULL;
    CHECK(ae_rumble_create(&self, &(ae_rumble_config){k_points, k_bin_hz, k_points}) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const ae_rumble_config bad[] = {{0, 31.25f, 257},
                                    {65537, 31.25f, 257},
                                    {257, 0.0f, 257},
                                    {257, NAN, 257},
                                    {257, 31.25f, 0}};
    for (int i = 0; i < 5; i++) {
        ae_rumble *self = (ae_rumble *)&bad;
        CHECK(ae_rumble_create(&self, &bad[i]) == AE_ERROR_ARGUMENT);
        CHECK(self == NULL);
    }
    ae_rumble_destroy(NULL);
}

/* Runs `hops` hops of one kind; gains are 0 before each. */
static void run(ae_rumble *self, int hops, float low_dbfs, float noise_dbfs, float pitch_hz,
                float strength, float *gain)
{
    float power[k_points], noise[k_points];
    ae_fill(power, 1e-6f * k_points, k_points);
    ae_fill(noise, 1e-9f * k_points, k_points);
    for (int k = 0; k < 4; k++) { /* a quarter of the level each */
        power[k] = 0.25f * ae_power_from_db(low_dbfs) * k_points;
        noise[k] = 0.25f * ae_power_from_db(noise_dbfs) * k_points;
    }
    for (int t = 0; t < hops; t++) {
        ae_zero(gain, k_points);
        ae_rumble_suppress(self, power, noise, pitch_hz, strength, -4.0f, gain);
    }
}

static void test_wind_goes_below_the_voice(void)
{
    ae_rumble *self = make();
    float gain[k_points];
    run(self, 20, -30.0f, -40.0f, 100.0f, 0.0f, gain); /* no voice: all below 120 Hz */
    CHECK_NEAR(ae_rumble_edge_hz(self), 120.0, 1e-3);
    for (int k = 0; k < 3; k++) CHECK_NEAR(gain[k], -4.0, 1e-5);
    CHECK_NEAR(gain[3], -4.0 * (120.0 / 31.25 - 3.0), 1e-4);
    for (int k = 4; k < k_points; k++) CHECK(gain[k] == 0.0f);
    run(self, 1, -30.0f, -40.0f, 100.0f, 0.5f,
        gain); /* a voice of 100 Hz passes from its first hop */
    CHECK_NEAR(ae_rumble_edge_hz(self), 70.0, 1e-3);
    CHECK(gain[3] == 0.0f);
    run(self, 20, -30.0f, -40.0f, 300.0f, 0.5f, gain); /* and never more than 150 Hz goes */
    CHECK_NEAR(ae_rumble_edge_hz(self), 150.0, 1e-3);
    CHECK(gain[5] == 0.0f);
    ae_rumble_destroy(self);
}

static void test_what_is_soft_stays(void)
{
    ae_rumble *self = make();
    float gain[k_points];
    run(self, 20, -45.0f, -60.0f, 100.0f, 0.0f, gain); /* 0.03 of it: -60 dBFS */
    for (int k = 0; k < k_points; k++) CHECK(gain[k] == 0.0f);
    run(self, 1, -20.0f, -60.0f, 100.0f, 0.0f, gain); /* a pop, at once */
    CHECK_NEAR(gain[1], -4.0, 1e-5);
    run(self, 1, -60.0f, -50.0f, 100.0f, 0.0f, gain); /* half way */
    CHECK_NEAR(gain[1], -2.0, 0.05);
    ae_rumble_destroy(self);
}

static void test_extremes_and_reset(void)
{
    ae_rumble *self = make(), *fresh = make();
    float gain[k_points], other[k_points];
    const float levels_db[] = {-300.0f, 200.0f, -120.0f};
    const uint64_t allocations = ae_allocation_count();
    for (int i = 0; i < 9; i++) {
        run(self, 3, levels_db[i % 3], levels_db[i / 3], i % 2 ? 70.0f : 320.0f, (float)i, gain);
        for (int k = 0; k < k_points; k++) CHECK(gain[k] <= 0.0f && gain[k] >= -4.0f);
    }
    ae_rumble_reset(self);
    run(self, 2, -30.0f, -40.0f, 100.0f, 0.0f, gain);
    run(fresh, 2, -30.0f, -40.0f, 100.0f, 0.0f, other);
    CHECK(memcmp(gain, other, sizeof gain) == 0);
    CHECK(ae_allocation_count() == allocations);
    ae_rumble_destroy(self);
    ae_rumble_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_wind_goes_below_the_voice();
    test_what_is_soft_stays();
    test_extremes_and_reset();
    return AE_TEST_RESULT();
}
