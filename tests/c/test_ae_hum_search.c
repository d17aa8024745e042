/* Truths: series of sines at known bases; noise, voices and notes that are no mains. */
#include "ae_hum_search.h"

#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

enum { k_hop_most = 960, k_bins_most = 1600 };

static const double k_two_pi = 6.283185307179586;

typedef struct {
    ae_hum_search *search;
    ae_stft *stft;
    int rate, hop, at;
    double phase, within, lift;
    uint32_t seed;
    float re[k_bins_most], im[k_bins_most];
} rig;

static rig make(int rate)
{
    rig self = {.rate = rate, .hop = ae_block_frames(rate), .seed = 5};
    const ae_stft_config stft = {self.hop, (int)(3.2f * (float)self.hop + 0.5f)};
    CHECK(ae_stft_create(&self.stft, &stft) == AE_OK);
    const ae_hum_search_config search = {ae_stft_bins(self.stft),
                                         (float)rate / (float)ae_stft_fft_size(self.stft),
                                         (float)self.hop / (float)rate};
    CHECK(ae_hum_search_create(&self.search, &search) == AE_OK);
    return self;
}

static void destroy(rig *self)
{
    ae_hum_search_destroy(self->search);
    ae_stft_destroy(self->stft);
}

typedef struct {
    double base_hz;   /* of a series with the levels 1 / h; 0: none */
    int first, every; /* which multiples, up to 20 */
    double voice_hz;  /* a talker's mean pitch; 0: none */
    double note_s;    /* the series is played as notes of this length; 0: all the time */
    float noise;
} scene;

/* A talker: syllables of 0.2 s at pitches some per cent apart, a fall in each, a pause of 0.5 s
 * in 2. */
static double voice(rig *self, double pitch_hz, double time_s)
{
    const double within = fmod(time_s, 0.2) / 0.2;
    if (within < self->within) self->lift = 0.05 * (double)ae_random(&self->seed);
    self->within = within;
    if (fmod(time_s, 2.0) > 1.5) return 0.0;
    self->phase += k_two_pi * pitch_hz * (1.05 - 0.1 * within + self->lift) / self->rate;
    double sum = 0.0;
    for (int h = 1; h <= 20; h++) sum += sin(h * self->phase) / h;
    return 0.1 * sum * sin(0.5 * k_two_pi * within);
}

/* Runs `seconds`; the base found first, at *found_s. */
static float run(rig *self, const scene *what, double seconds, double *found_s)
{
    float found_hz = 0.0f;
    *found_s = -1.0;
    for (int b = 0; b < (int)(seconds * self->rate / self->hop); b++) {
        float in[k_hop_most];
        for (int i = 0; i < self->hop; i++, self->at++) {
            const double time_s = (double)self->at / self->rate;
            double sum = (double)(what->noise * ae_random(&self->seed));
            const double played =
                what->note_s > 0.0 ? exp(-fmod(time_s, what->note_s) / what->note_s * 3.0) : 1.0;
            for (int h = what->first; what->base_hz > 0.0 && h <= 20; h += what->every)
                sum += 0.02 * played * sin(k_two_pi * h * what->base_hz * time_s + h) / h;
            if (what->voice_hz > 0.0) sum += voice(self, what->voice_hz, time_s);
            in[i] = (float)sum;
        }
        ae_stft_analyse(self->stft, in, self->re, self->im);
        const float hz = ae_hum_search_update(self->search, self->re, self->im);
        if (hz > 0.0f && found_hz == 0.0f) {
            found_hz = hz;
            *found_s = (double)(b + 1) * self->hop / self->rate;
        }
    }
    return found_hz;
}

static void test_create_checks_every_field(void)
{
    const ae_hum_search_config bad[] = {
        {31, 31.25f, 0.01f},   {65537, 31.25f, 0.01f}, {257, 9.9f, 0.01f}, {257, 60.1f, 0.01f},
        {257, 31.25f, 0.004f}, {257, 31.25f, 0.021f},  {257, NAN, 0.01f},  {257, 31.25f, NAN}};
    for (int i = 0; i < 8; i++) {
        ae_hum_search *self = (ae_hum_search *)&bad;
        CHECK(ae_hum_search_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_hum_search_destroy(NULL);
}

static void test_hum_is_found_to_a_tenth_of_a_hertz(void)
{
    const int rates[] = {8000, 11025, 16000, 44100, 48000, 96000};
    const double bases_hz[] = {50.0, 60.0, 49.87, 60.12};
    for (int r = 0; r < 6; r++)
        for (int i = 0; i < 4; i++) {
            if (r != 2 && i > 1) continue;
            rig self = make(rates[r]);
            double found_s;
            const scene hum = {.base_hz = bases_hz[i], .first = 1, .every = 1, .noise = 0.003f};
            CHECK_NEAR(run(&self, &hum, 3.0, &found_s), bases_hz[i], 0.1);
            CHECK(found_s > 1.9 && found_s < 2.6);
            destroy(&self);
        }
}

static void test_rectifier_hum_and_hum_under_speech(void)
{
    const scene scenes[] = {
        {.base_hz = 50.0, .first = 2, .every = 2, .noise = 0.003f}, /* 100, 200, 300 .. Hz */
        {.base_hz = 60.0, .first = 1, .every = 2, .noise = 0.003f},
        {.base_hz = 50.0, .first = 1, .every = 1, .noise = 0.003f, .voice_hz = 104.0},
        {.base_hz = 60.0, .first = 1, .every = 1, .noise = 0.003f, .voice_hz = 178.0},
    };
    for (int i = 0; i < 4; i++) {
        rig self = make(16000);
        double found_s;
        CHECK_NEAR(run(&self, &scenes[i], 10.0, &found_s), scenes[i].base_hz, 0.1);
        destroy(&self);
    }
}

static void test_what_is_no_hum(void)
{
    const scene scenes[] = {
        {.noise = 0.1f},
        {.noise = 0.0f},
        {.noise = 1e-4f, .voice_hz = 100.0},
        {.noise = 1e-4f, .voice_hz = 120.0},
        {.noise = 1e-4f, .voice_hz = 180.0},
        {.base_hz = 48.9994, .first = 2, .every = 2, .noise = 1e-4f}, /* G2 held on an organ */
        {.base_hz = 61.7354, .first = 2, .every = 2, .noise = 1e-4f}, /* B2 */
        {.base_hz = 97.9989, .first = 1, .every = 1, .noise = 1e-4f, .note_s = 0.5},  /* G2 */
        {.base_hz = 123.4708, .first = 1, .every = 1, .noise = 1e-4f, .note_s = 1.5}, /* B2 */
        {.base_hz = 349.2282, .first = 1, .every = 1, .noise = 1e-4f}, /* F4: 7 x 49.89 */
        {.base_hz = 659.2551, .first = 1, .every = 1, .noise = 0.0f},  /* E5, dead quiet */
        {.base_hz = 1000.0, .first = 1, .every = 20, .noise = 1e-4f},  /* a test tone */
    };
    for (int i = 0; i < (int)(sizeof scenes / sizeof *scenes); i++) {
        rig self = make(16000);
        double found_s;
        if (run(&self, &scenes[i], 12.0, &found_s) != 0.0f) printf("scene %d\n", i);
        CHECK(found_s < 0.0);
        destroy(&self);
    }
}

static void test_bad_weather_reset_and_no_allocation(void)
{
    const float bad[] = {NAN, INFINITY, 3e38f};
    rig self = make(16000), fresh = make(16000);
    const uint64_t allocations = ae_allocation_count();
    const scene hum = {.base_hz = 50.0, .first = 1, .every = 1, .noise = 0.003f};
    double found_s, fresh_s;
    for (int i = 0; i < 3; i++) {
        run(&self, &hum, 1.0, &found_s);
        float plane[257];
        ae_fill(plane, bad[i], 257);
        CHECK(ae_hum_search_update(self.search, plane, plane) == 0.0f);
    }
    self.at = 0;
    self.seed = fresh.seed;
    ae_stft_reset(self.stft);
    ae_hum_search_reset(self.search);
    const float found_hz = run(&self, &hum, 5.0, &found_s);
    CHECK(found_hz == run(&fresh, &hum, 5.0, &fresh_s) && found_s == fresh_s);
    CHECK(ae_hum_search_score(self.search, 0) == ae_hum_search_score(fresh.search, 0));
    CHECK(ae_hum_search_score(self.search, 0) > 4.0f);
    CHECK(ae_allocation_count() == allocations);
    destroy(&self);
    destroy(&fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_hum_is_found_to_a_tenth_of_a_hertz();
    test_rectifier_hum_and_hum_under_speech();
    test_what_is_no_hum();
    test_bad_weather_reset_and_no_allocation();
    return AE_TEST_RESULT();
}
