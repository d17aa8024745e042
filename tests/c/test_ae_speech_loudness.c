/* Truths: the loudness of a 997 Hz sine (BS.1770-5: full scale reads -3.01 LUFS) times closed-form
 * envelopes; the gated mean of the clean voice's 400 ms windows, computed here from the plain list
 * of blocks; noise of known power. */
#include "ae_speech_loudness.h"

#include <string.h>

#include "ae_kweight.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_blocks = 6000, k_second = 100, k_window = 40 };
static const double k_pi = 3.141592653589793;
static double voice[k_blocks], block_power[k_blocks];
static float heard_lufs[k_blocks], floor_lufs[k_blocks];

static double power_from_lufs(double lufs) { return pow(10.0, 0.1 * (lufs + 0.691)); }

/* Power of one block of noise with 100 degrees of freedom, mean 1: 10 ms of a 5 kHz band. */
static double noise_block(uint32_t *seed)
{
    double sum = 0.0;
    for (int i = 0; i < 12; i++) sum += (double)ae_random(seed); /* each -1..1: variance 1/3 */
    return fmax(1.0 + sum / 2.0 * sqrt(2.0 / 100.0), 0.0);
}

static void add_noise(int from, int to, double lufs, uint32_t seed)
{
    for (int b = from; b < to; b++) block_power[b] += power_from_lufs(lufs) * noise_block(&seed);
}

/* Four syllables a second of uneven height (6 dB), a pause of 0.6 s every 3 s. */
static void add_voice(int from, int to, double lufs, uint32_t seed)
{
    double height = 1.0;
    for (int b = from; b < to; b++) {
        const int phase = (b - from) % 25, in_pause = (b - from) % 300 >= 240;
        if (phase == 0) height = pow(10.0, 0.3 * (double)ae_random(&seed));
        const double s = sin(k_pi * phase / 25.0);
        voice[b] = in_pause ? 0.0 : 2.0 * power_from_lufs(lufs) * height * s * s * s * s;
        block_power[b] += voice[b] * noise_block(&seed);
    }
}

static void clear(void)
{
    memset(voice, 0, sizeof voice);
    memset(block_power, 0, sizeof block_power);
}

static void run(ae_speech_loudness *self, int from, int to, float speech_probability)
{
    for (int b = from; b < to; b++) {
        const ae_speech_block block = {block_power[b], 1.0, speech_probability, 0.0, 0};
        ae_speech_loudness_update(self, &block);
        heard_lufs[b] = ae_speech_loudness_lufs(self);
        floor_lufs[b] = ae_speech_loudness_floor_lufs(self);
    }
}

static void run_new(int to, float speech_probability)
{
    ae_speech_loudness self;
    ae_speech_loudness_reset(&self);
    run(&self, 0, to, speech_probability);
}

/* BS.1770-5 equations 4 to 7 without the absolute gate, over the clean voice; a window each block.
 */
static double voice_lufs(int from, int to)
{
    double gate = 0.0, mean = 0.0;
    for (int pass = 0; pass < 2; pass++) {
        int kept = 0;
        mean = 0.0;
        for (int b = from + k_window; b <= to; b++) {
            double window = 0.0;
            for (int i = b - k_window; i < b; i++) window += voice[i] / k_window;
            if (window <= gate) continue;
            mean += window;
            kept++;
        }
        mean /= kept;
        gate = 0.1 * mean;
    }
    return ae_lufs_from_mean_square(mean);
}

/* Mean over the time, for one number of a level that moves with the sentences. */
static double mean_of(const float *lufs, int from, int to)
{
    double sum = 0.0;
    for (int b = from; b < to; b++) sum += (double)lufs[b];
    return sum / (to - from);
}

static void test_modulated_sine_in_closed_form(void)
{
    enum { rate = 48000, frames = 480 };
    const double peaks[] = {0.01, 0.1, 1.0};
    for (int i = 0; i < 3; i++) {
        const ae_kweight_config config = {rate, 1};
        ae_kweight *weight = NULL;
        CHECK(ae_kweight_create(&weight, &config) == AE_OK);
        ae_speech_loudness self;
        ae_speech_loudness_reset(&self);
        for (int b = 0; b < 6 * k_second; b++) {
            float sine[frames];
            for (int n = 0; n < frames; n++) {
                const double t = (double)(b * frames + n) / rate, s = sin(k_pi * 2.5 * t);
                sine[n] = (float)(peaks[i] * s * s * sin(2.0 * k_pi * 997.0 * t));
            }
            const float *in[1] = {sine};
            const ae_speech_block block = {ae_kweight_mean_square(weight, in, frames), 1.0, -1.0f,
                                           0.0, 0};
            ae_speech_loudness_update(&self, &block);
        }
        /* The mean of sin^4 is 3/8; one whole period of the envelope fills a window. The gaps are
         * too short for the floor to see them empty: it takes up to 0.4 dB off. */
        const double truth = -3.01 + 20.0 * log10(peaks[i]) + 10.0 * log10(3.0 / 8.0);
        CHECK_NEAR(ae_speech_loudness_lufs(&self), truth - 0.2, 0.25);
        CHECK_NEAR(ae_speech_loudness_kept_lufs(&self), truth - 0.2, 0.25);
        CHECK_NEAR(ae_speech_loudness_momentary_lufs(&self), truth, 0.2);
        ae_kweight_destroy(weight);
    }
}

static void test_voice_alone_is_read_in_noise_and_pauses(void)
{
    const double snr_db[] = {60.0, 20.0, 10.0, 6.0}; /* at 6 dB the sum is 1 LU over the voice */
    for (int i = 0; i < 4; i++) {
        clear();
        add_voice(0, 3000, -30.0, 3);
        add_noise(0, 3000, voice_lufs(0, 3000) - snr_db[i], 4);
        run_new(3000, -1.0f);
        CHECK_NEAR(mean_of(heard_lufs, 600, 3000), voice_lufs(600, 3000), 0.6);
        CHECK(heard_lufs[30] > -60.0f); /* a first value within the second syllable */
    }
}

/* Murmurs between the sentences are under the relative gate; ungated they would cost 1.4 LU. */
static void test_murmurs_are_gated(void)
{
    clear();
    for (int b = 0; b < 3000; b += 275) {
        add_voice(b, b + 200, -30.0, 15);
        add_voice(b + 200, b + 275, -45.0, 16);
    }
    add_noise(0, 3000, -90.0, 17);
    run_new(3000, -1.0f);
    CHECK_NEAR(mean_of(heard_lufs, 600, 3000), voice_lufs(600, 3000), 0.5);
}

/* The floor is twice the minimum, as a room's noise wants it; noise as steady as this one is read
 * up to 3 dB high. A step may take the 3.2 s of the memory and two spans of 0.4 s. */
static void test_noise_is_followed_and_is_not_speech(void)
{
    clear();
    add_noise(0, 2000, -60.0, 5);
    add_noise(2000, 4000, -48.0, 6);
    ae_speech_loudness self;
    ae_speech_loudness_reset(&self);
    run(&self, 0, 2000, -1.0f);
    CHECK_NEAR(mean_of(floor_lufs, 100, 2000), -60.0 + 1.5, 1.5);
    CHECK(heard_lufs[1999] <= AE_NO_LOUDNESS_LUFS);
    int speech_blocks = 0;
    for (int b = 2000; b < 4000; b++) {
        run(&self, b, b + 1, -1.0f);
        speech_blocks += self.decision.active;
        CHECK(self.decision.confirmed_blocks == 0); /* a louder fan is no voice */
    }
    CHECK(speech_blocks < 60); /* at its onset, and where the floor has caught up */
    CHECK_NEAR(mean_of(floor_lufs, 2000 + 410, 4000), -48.0 + 1.5, 1.5);

    clear();
    add_noise(0, 2000, -60.0, 5);
    for (int b = 1000; b < 1000 + k_second; b++) block_power[b] = power_from_lufs(-30.0);
    run_new(2000, -1.0f);
    for (int b = 1000; b < 2000; b++) CHECK(floor_lufs[b] < floor_lufs[999] + 1.0f);

    clear();
    add_voice(0, 3000, -30.0, 7);
    add_noise(0, 3000, -60.0, 5);
    run_new(3000, -1.0f); /* under a voice, too */
    CHECK_NEAR(mean_of(floor_lufs, 400, 3000), -60.0 + 2.0, 2.0);
    run_new(3000, 0.0f);
    CHECK(heard_lufs[2999] <= AE_NO_LOUDNESS_LUFS); /* told that it is no speech */
}

/* The voice at -35 LUFS changes by change_db at 15 s, for so many blocks. */
static void run_change(double change_db, int blocks)
{
    clear();
    add_voice(0, 3000, -35.0, 8);
    for (int b = 1500; b < 1500 + blocks; b++) {
        voice[b] *= pow(10.0, 0.1 * change_db);
        block_power[b] *= pow(10.0, 0.1 * change_db);
    }
    add_noise(0, 3000, -80.0, 10);
    run_new(3000, -1.0f);
}

static void test_a_shout_is_left_out_and_a_step_is_followed(void)
{
    run_change(15.0, 120);
    const double before_lufs = mean_of(heard_lufs, 1000, 1500);
    CHECK_NEAR(before_lufs, voice_lufs(1000, 1500), 0.6);
    for (int b = 1500; b < 3000; b++) CHECK_NEAR(heard_lufs[b], before_lufs, 1.5);

    const double steps_db[] = {15.0, -15.0};
    const int most_blocks[] = {330, 250}; /* 2.3 s of speech and its pauses; 1.4 s and theirs */
    for (int i = 0; i < 2; i++) {
        run_change(steps_db[i], 1500);
        const double truth = voice_lufs(1500, 3000);
        for (int b = 1500 + most_blocks[i]; b < 3000; b++) CHECK_NEAR(heard_lufs[b], truth, 2.5);
        CHECK_NEAR(mean_of(heard_lufs, 2000, 3000), truth, 0.6);
    }
}

/* A limiter that takes a share of the voice makes it so much quieter, and at most 1.5 dB. */
static void test_kept_share(void)
{
    const double shares[] = {1.0, 0.8, 0.1}, kept_db[] = {0.0, -0.969, -1.549};
    clear();
    add_voice(0, 3000, -30.0, 11);
    for (int i = 0; i < 3; i++) {
        ae_speech_loudness self;
        ae_speech_loudness_reset(&self);
        for (int b = 0; b < 3000; b++) {
            const ae_speech_block block = {block_power[b], shares[i], 1.0f, 0.0, 0};
            ae_speech_loudness_update(&self, &block);
        }
        const double lufs = (double)ae_speech_loudness_lufs(&self);
        CHECK_NEAR((double)ae_speech_loudness_kept_lufs(&self) - lufs, kept_db[i], 0.05);
    }
}

static double list_lufs(int to, int blocks)
{
    double sum = 0.0;
    for (int b = to - blocks; b < to; b++) sum += block_power[b] / blocks;
    return ae_lufs_from_mean_square(sum);
}

static void test_windows_against_the_list(void)
{
    ae_speech_loudness self;
    ae_speech_loudness_reset(&self);
    clear();
    add_voice(0, 3000, -30.0, 12);
    add_noise(0, 3000, -55.0, 13);
    run(&self, 0, 500, -1.0f);
    for (int b = 500; b < 3000; b++) {
        run(&self, b, b + 1, -1.0f);
        const double window = list_lufs(b + 1, 40), syllable = list_lufs(b + 1, 10);
        if (window > -45.0) CHECK_NEAR(ae_speech_loudness_momentary_lufs(&self), window, 0.3);
        if (syllable > -45.0) CHECK_NEAR(ae_speech_loudness_syllable_lufs(&self), syllable, 0.3);
    }
}

/* Powers of 8 channels of +-64 K-weighted, of nothing, of denormals; then a voice. */
static void test_bad_weather_reset_and_independence(void)
{
    static float expected_lufs[k_blocks];
    const double weather[][2] = {{1e5, 1e5}, {1e5, 0.0}, {0.0, 0.0}, {1e-310, 0.0}, {1e5, 1e-310}};
    const uint64_t allocations = ae_allocation_count();
    ae_speech_loudness self, other;
    ae_speech_loudness_reset(&self);
    for (int i = 0; i < 5; i++) {
        clear();
        for (int b = 0; b < 1000; b++) block_power[b] = weather[i][b / 7 % 2];
        add_voice(1000, 3000, -30.0, 14);
        run(&self, 0, 3000, i % 2 ? -1.0f : 1.0f);
        for (int b = 0; b < 3000; b++) {
            CHECK(heard_lufs[b] > -201.0f && heard_lufs[b] < 50.0f);
            CHECK(floor_lufs[b] > -201.0f && floor_lufs[b] < 53.1f);
        }
        CHECK_NEAR(mean_of(heard_lufs, 1600, 3000), voice_lufs(1600, 3000), 1.0);
    }
    run_new(3000, -1.0f);
    memcpy(expected_lufs, heard_lufs, sizeof expected_lufs);
    ae_speech_loudness_reset(&self);
    ae_speech_loudness_reset(&other);
    for (int b = 0; b < 3000; b++) {
        const ae_speech_block loud = {b % 50 < 25 ? 1.0 : 1e-6, 0.5, 1.0f, 0.0, 0};
        ae_speech_loudness_update(&other, &loud);
        run(&self, b, b + 1, -1.0f);
    }
    CHECK(memcmp(expected_lufs, heard_lufs, sizeof expected_lufs) == 0);
    CHECK(ae_allocation_count() == allocations);
}

/* A probability that is no number is one that is not known, and leaves nothing behind. */
static void test_probability_that_is_no_number(void)
{
    clear();
    add_noise(0, 1200, -70.0, 8);
    add_voice(200, 1200, -30.0, 9);
    float wanted_lufs[2];
    for (int broken = 0; broken < 2; broken++) {
        ae_speech_loudness self;
        ae_speech_loudness_reset(&self);
        run(&self, 0, 500, 0.9f);
        run(&self, 500, 505, broken ? NAN : -1.0f);
        run(&self, 505, 1200, 0.9f);
        wanted_lufs[broken] = heard_lufs[1199];
    }
    CHECK(wanted_lufs[0] == wanted_lufs[1] && wanted_lufs[0] > -40.0f);
}

int main(void)
{
    test_probability_that_is_no_number();
    test_modulated_sine_in_closed_form();
    test_voice_alone_is_read_in_noise_and_pauses();
    test_murmurs_are_gated();
    test_noise_is_followed_and_is_not_speech();
    test_a_shout_is_left_out_and_a_step_is_followed();
    test_kept_share();
    test_windows_against_the_list();
    test_bad_weather_reset_and_independence();
    return AE_TEST_RESULT();
}
