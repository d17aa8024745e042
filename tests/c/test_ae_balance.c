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

static const ae_balance_config k_song = {.least_db = -36.0f,
                                         .most_db = 12.0f,
                                         .step_db = 0.005f,
                                         .young_step_db = 0.15f,
                                         .memory_windows = 300};

static double power_of(double loudness_lufs) { return pow(10.0, (loudness_lufs + 0.691) / 10.0); }

static void feed(ae_balance *self, double loudness_lufs, int blocks, float target_lufs)
{
    for (int b = 0; b < blocks; b++) ae_balance_update(self, power_of(loudness_lufs), target_lufs);
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
    feed(&self, -20.0, 10, -19.0f);
    CHECK_NEAR(self.gain_db, before_db - 10 * 0.005f, 1e-5);
    feed(&self, -20.0, 10, -22.0f); /* far too loud: down at once */
    CHECK_NEAR(self.gain_db, before_db - 10 * 0.005f - 10 * 0.05f, 1e-5);
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

/* What is 10 LU under the mean for less than 3 s, or under -60 LUFS, moves nothing. */
static void test_gates(void)
{
    ae_balance self;
    ae_balance_init(&self, &k_config);
    feed(&self, -20.0, 1000, -20.0f);
    const double before = self.power;
    feed(&self, -31.0, 290, -20.0f);
    feed(&self, -65.0, 1000, -20.0f);
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

/* The pop song after the ballad, the band after its soft intro: a new sound, not a loud moment. */
static void test_new_sound_begins_the_mean_anew(void)
{
    ae_balance self;
    ae_balance_init(&self, &k_song);
    feed(&self, -28.0, 3000, -27.0f);
    CHECK_NEAR(self.gain_db, 1.0, 0.2);
    feed(&self, -9.0, 10, -27.0f);
    CHECK_NEAR(ae_balance_loudness_lufs(&self), -9.0, 1e-4);
    feed(&self, -9.0, 140, -27.0f);       /* 19 dB at 15 dB/s */
    CHECK_NEAR(self.gain_db, -17.5, 0.6); /* the last decibel is slow */
    CHECK(self.gain_db < -16.5f);
    feed(&self, -3.0, 100, -27.0f); /* the chorus is no new song */
    CHECK(ae_balance_loudness_lufs(&self) < -4.0f);
}

/* And the soft one after the loud one, once it has lasted. */
static void test_softer_sound_is_found_too(void)
{
    ae_balance self;
    ae_balance_init(&self, &k_song);
    feed(&self, -9.0, 6000, -27.0f);
    CHECK_NEAR(self.gain_db, -18.0, 0.2);
    feed(&self, -25.0, 290, -27.0f);
    CHECK_NEAR(self.gain_db, -18.0, 0.2);
    feed(&self, -25.0, 120, -27.0f);
    CHECK_NEAR(ae_balance_loudness_lufs(&self), -25.0, 1e-4);
    CHECK(self.gain_db > -5.0f); /* the rest at 0.5 dB/s */
}

static void test_bad_weather(void)
{
    static const double values[] = {NAN, INFINITY, -INFINITY, 3e38, 1e-310, 0.0};
    for (int v = 0; v < 6; v++) {
        ae_balance self;
        ae_balance_init(&self, &k_config);
        feed(&self, -20.0, 100, -18.0f);
        for (int b = 0; b < 100; b++) ae_balance_update(&self, values[v], -18.0f);
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
    test_new_sound_begins_the_mean_anew();
    test_softer_sound_is_found_too();
    test_bad_weather();
    return AE_TEST_RESULT();
}
