/* Truths: the mean square of a block is the truth itself; loudness is -0.691 + 10 lg of it
 * (BS.1770-5 equation 2); speeds are counted in blocks. */
#include "ae_balance.h"

#include "ae_kweight.h"
#include "ae_math.h"
#include "ae_test.h"

static const ae_balance_config k_config = {.least_db = -3.0f,
                                           .most_db = 3.0f,
                                           .step_db = 0.005f,
                                           .young_step_db = 0.05f,
                                           .memory_windows = 60};

static double power_of(double loudness_lufs) { return pow(10.0, (loudness_lufs + 0.691) / 10.0); }

static void feed(ae_balance *self, double loudness_lufs, int blocks, float target_lufs)
{
    for (int b = 0; b < blocks; b++)
        ae_balance_update(self, power_of(loudness_lufs), 1, target_lufs);
}

static void test_walks_to_the_target_at_its_speed(void)
{
    ae_balance self;
    ae_balance_init(&self, &k_config);
    CHECK(self.gain_db == 0.0f && ae_balance_loudness_lufs(&self) == -200.0f);
    feed(&self, -20.0, 9, -18.0f);
    CHECK(self.gain_db == 0.0f); /* no window is full yet */
    feed(&self, -20.0, 1, -18.0f);
    CHECK_NEAR(ae_balance_loudness_lufs(&self), -20.0, 1e-4);
    CHECK_NEAR(self.gain_db, 0.05, 1e-6);
    feed(&self, -20.0, 20, -18.0f); /* 21 young steps so far */
    CHECK_NEAR(self.gain_db, 21 * 0.05, 1e-4);
    feed(&self, -20.0, 400, -18.0f);
    CHECK_NEAR(self.gain_db, 2.0, 0.1 + 1e-4); /* up to the dead band */
    /* No longer young: 0.5 dB/s. */
    const float before_db = self.gain_db;
    feed(&self, -20.0, 10, -21.0f);
    CHECK_NEAR(self.gain_db, before_db - 10 * 0.005f, 1e-5);
}

static void test_stays_in_its_bounds(void)
{
    ae_balance self;
    ae_balance_init(&self, &k_config);
    feed(&self, -30.0, 5000, -18.0f);
    CHECK_NEAR(self.gain_db, 3.0, 0.1 + 1e-4);
    ae_balance_reset(&self);
    CHECK(self.gain_db == 0.0f && self.windows == 0);
    feed(&self, -6.0, 5000, -18.0f);
    CHECK_NEAR(self.gain_db, -3.0, 0.1 + 1e-4);
}

/* What is 10 LU under the mean, under -60 LUFS or does not count moves nothing. */
static void test_gates(void)
{
    ae_balance self;
    ae_balance_init(&self, &k_config);
    feed(&self, -20.0, 1000, -20.0f);
    const double before = self.power;
    feed(&self, -31.0, 1000, -20.0f);
    feed(&self, -65.0, 1000, -20.0f);
    for (int b = 0; b < 1000; b++) ae_balance_update(&self, 1.0, 0, -20.0f);
    CHECK(self.power == before && self.gain_db == 0.0f);
    feed(&self, -29.0, 1000, -20.0f);
    /* A hundred windows, each a sixtieth of the mean. */
    const double kept = pow(1.0 - 1.0 / 60.0, 100.0);
    const double mean = kept * power_of(-20.0) + (1.0 - kept) * power_of(-29.0);
    CHECK_NEAR(ae_balance_loudness_lufs(&self), ae_lufs_from_mean_square(mean), 1e-3);

    ae_balance_reset(&self);
    feed(&self, -65.0, 1000, -20.0f);
    CHECK(ae_balance_loudness_lufs(&self) == -200.0f && self.gain_db == 0.0f);
}

/* The running mean of a loud and a quiet second is that of their powers, not of their decibels. */
static void test_means_power(void)
{
    ae_balance self;
    ae_balance_init(&self, &k_config);
    feed(&self, -20.0, 100, -20.0f);
    feed(&self, -26.0, 100, -20.0f);
    const double mean = 0.5 * (power_of(-20.0) + power_of(-26.0));
    CHECK_NEAR(ae_balance_loudness_lufs(&self), ae_lufs_from_mean_square(mean), 1e-4);
}

static void test_bad_weather(void)
{
    static const double values[] = {NAN, INFINITY, -INFINITY, 3e38, 1e-310, 0.0};
    for (int v = 0; v < 6; v++) {
        ae_balance self;
        ae_balance_init(&self, &k_config);
        feed(&self, -20.0, 100, -18.0f);
        for (int b = 0; b < 100; b++) ae_balance_update(&self, values[v], 1, -18.0f);
        CHECK(isfinite(self.gain_db) && fabsf(self.gain_db) <= 3.0f);
        CHECK(isfinite(ae_balance_loudness_lufs(&self)));
    }
}

int main(void)
{
    test_walks_to_the_target_at_its_speed();
    test_stays_in_its_bounds();
    test_gates();
    test_means_power();
    test_bad_weather();
    return AE_TEST_RESULT();
}
