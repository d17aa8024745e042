/* Truths: what is left is the signal without its known hum; all of it comes back on demand. */
#include "ae_hum.h"

#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

enum { k_hop_most = 960, k_bins_most = 1600, k_channels = 2, k_lines = 30 };

static const double k_two_pi = 6.283185307179586;

typedef struct {
    int rate, hop, bins, at;
    double phase, voice_phase, hz_per_s;
    uint32_t seed;
    ae_hum *hum;
    ae_stft *full[k_channels], *bare; /* with the hum, per channel; without it */
    float re[k_channels][k_bins_most], im[k_channels][k_bins_most];
    float before_re[k_bins_most], before_im[k_bins_most]; /* channel 0 as it came */
    float bare_re[k_bins_most], bare_im[k_bins_most];
} rig;

static rig make(int rate)
{
    rig self = {.rate = rate, .hop = ae_block_frames(rate), .seed = 5};
    const ae_stft_config stft = {self.hop, (int)(3.2f * (float)self.hop + 0.5f)};
    for (int c = 0; c < k_channels; c++) CHECK(ae_stft_create(&self.full[c], &stft) == AE_OK);
    CHECK(ae_stft_create(&self.bare, &stft) == AE_OK);
    self.bins = ae_stft_bins(self.bare);
    const ae_hum_config hum = {.bins = self.bins,
                               .fft_size = ae_stft_fft_size(self.bare),
                               .channels = k_channels,
                               .sample_rate_hz = rate,
                               .hop_frames = self.hop,
                               .window = ae_stft_window(self.bare),
                               .window_frames = ae_stft_window_frames(self.bare)};
    CHECK(ae_hum_create(&self.hum, &hum) == AE_OK);
    return self;
}

static void destroy(rig *self)
{
    for (int c = 0; c < k_channels; c++) ae_stft_destroy(self->full[c]);
    ae_stft_destroy(self->bare);
    ae_hum_destroy(self->hum);
}

static double power_of(const float *re, const float *im, int bins)
{
    return (double)ae_energy(re, bins) + (double)ae_energy(im, bins);
}

/* A voice with falling syllables of 0.2 s and a pause of 0.5 s in 2. */
static double next_voice(rig *self, double time_s)
{
    const double within = fmod(time_s, 0.2) / 0.2;
    if (fmod(time_s, 2.0) > 1.5) return 0.0;
    const double hz = 130.0 - 20.0 * within + 17.0 * sin(time_s * 1.7);
    self->voice_phase += k_two_pi * hz / self->rate;
    double sum = 0.0;
    for (int h = 1; h <= 20; h++) sum += sin(h * self->voice_phase) / h;
    return 0.05 * sum * sin(0.5 * k_two_pi * within);
}

typedef struct {
    double hum_hz, hum_level, voice_level;
    float noise;
} scene;

typedef struct {
    double hum, left, voice; /* powers over the run: the hum; output minus the bare signal; bare */
} result;

static result run(rig *self, const scene *what, double seconds)
{
    result sum = {0};
    for (int b = 0; b < (int)(seconds * self->rate / self->hop); b++) {
        float full[k_channels][k_hop_most], bare[k_hop_most];
        for (int i = 0; i < self->hop; i++, self->at++) {
            const double time_s = (double)self->at / self->rate;
            double hum = 0.0;
            self->phase += (what->hum_hz + self->hz_per_s * time_s) / self->rate;
            for (int h = 1; h <= k_lines; h++) hum += sin(k_two_pi * h * self->phase + h * h) / h;
            hum *= what->hum_level;
            bare[i] = what->noise * ae_random(&self->seed);
            if (what->voice_level > 0.0)
                bare[i] += (float)(what->voice_level * next_voice(self, time_s));
            full[0][i] = bare[i] + (float)hum;
            full[1][i] = bare[i] - 0.3f * (float)hum;
        }
        for (int c = 0; c < k_channels; c++)
            ae_stft_analyse(self->full[c], full[c], self->re[c], self->im[c]);
        ae_stft_analyse(self->bare, bare, self->bare_re, self->bare_im);
        ae_copy(self->before_re, self->re[0], self->bins);
        ae_copy(self->before_im, self->im[0], self->bins);
        float *re[k_channels] = {self->re[0], self->re[1]};
        float *im[k_channels] = {self->im[0], self->im[1]};
        ae_hum_remove(self->hum, re, im);
        float difference[2][2][k_bins_most];
        for (int k = 0; k < self->bins; k++) {
            difference[0][0][k] = self->before_re[k] - self->bare_re[k];
            difference[0][1][k] = self->before_im[k] - self->bare_im[k];
            difference[1][0][k] = re[0][k] - self->bare_re[k];
            difference[1][1][k] = im[0][k] - self->bare_im[k];
        }
        sum.hum += power_of(difference[0][0], difference[0][1], self->bins);
        sum.left += power_of(difference[1][0], difference[1][1], self->bins);
        sum.voice += power_of(self->bare_re, self->bare_im, self->bins);
    }
    return sum;
}

static double ratio_db(double a, double b) { return 10.0 * log10(a / (b + 1e-30)); }

static void test_create_checks_every_field(void)
{
    static float window[512];
    ae_hum_config bad[9];
    for (int i = 0; i < 9; i++) bad[i] = (ae_hum_config){257, 512, 2, 16000, 160, window, 512};
    bad[0].bins = 33;
    bad[1].fft_size = 510;
    bad[2].channels = 0;
    bad[3].channels = AE_MAX_CHANNELS + 1;
    bad[4].sample_rate_hz = 7999;
    bad[5].hop_frames = 20;
    bad[6].window = NULL;
    bad[7].window_frames = 513;
    bad[8].window_frames = 0;
    for (int i = 0; i < 9; i++) {
        ae_hum *self = (ae_hum *)&bad;
        CHECK(ae_hum_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_hum_destroy(NULL);
}

static void test_hum_in_noise_goes(void)
{
    const int rates[] = {8000, 16000, 44100, 48000};
    for (int r = 0; r < 4; r++)
        for (int mains = 0; mains < 2; mains++) {
            rig self = make(rates[r]);
            const scene hum = {mains ? 60.03 : 49.98, 0.02, 0.0, 0.001f};
            run(&self, &hum, 2.0);
            CHECK(ae_hum_hz(self.hum) == 0.0f);
            run(&self, &hum, 3.0);
            const result late = run(&self, &hum, 2.0);
            CHECK_NEAR(ae_hum_hz(self.hum), hum.hum_hz, 0.02);
            printf("%d Hz, mains %.2f: %.1f dB of hum taken away\n", rates[r], hum.hum_hz,
                   ratio_db(late.hum, late.left));
            CHECK(ratio_db(late.hum, late.left) > 25.0);
            destroy(&self);
        }
}

/* It begins in mid-stream, under a voice some dB louder. */
static void test_hum_under_a_voice_goes_and_the_voice_stays(void)
{
    rig self = make(16000);
    const scene quiet = {50.0, 0.0, 1.0, 0.0003f}, hum = {50.0, 0.02, 1.0, 0.0003f};
    run(&self, &quiet, 5.0);
    CHECK(ae_hum_hz(self.hum) == 0.0f);
    run(&self, &hum, 9.0);
    const result late = run(&self, &hum, 6.0);
    printf("voice %.1f dB over the hum: %.1f dB of hum taken away\n",
           ratio_db(late.voice, late.hum), ratio_db(late.hum, late.left));
    CHECK_NEAR(ae_hum_hz(self.hum), 50.0, 0.1);
    CHECK(ratio_db(late.hum, late.left) > 12.0);
    destroy(&self);
}

static void test_a_drifting_base_is_followed(void)
{
    rig self = make(16000);
    const scene hum = {50.0, 0.02, 0.0, 0.001f};
    self.hz_per_s = 0.01;
    run(&self, &hum, 6.0);
    const result late = run(&self, &hum, 6.0);
    /* Instantaneous frequency: the phase is the integral of base + slope x time. */
    CHECK_NEAR(ae_hum_hz(self.hum), 50.0 + 0.01 * 12.0, 0.02);
    printf("drift 0.01 Hz/s: %.1f dB of hum taken away\n", ratio_db(late.hum, late.left));
    CHECK(ratio_db(late.hum, late.left) > 15.0);
    destroy(&self);
}

static void test_it_lets_go_when_the_hum_ends(void)
{
    rig self = make(16000);
    const scene hum = {60.0, 0.02, 0.0, 0.001f}, none = {60.0, 0.0, 0.0, 0.001f};
    const result before = run(&self, &hum, 6.0);
    CHECK(ae_hum_hz(self.hum) > 0.0f);
    const result first = run(&self, &none, 0.6);
    CHECK(ae_hum_hz(self.hum) == 0.0f);
    CHECK(ratio_db(before.hum / 6.0, first.left / 0.6) > 3.0); /* its ghost sounds for 0.3 s */
    const result later = run(&self, &none, 4.0);
    CHECK(later.left == 0.0); /* nothing is touched */
    run(&self, &hum, 4.0);
    CHECK_NEAR(ae_hum_hz(self.hum), 60.0, 0.05); /* found again */
    destroy(&self);
}

static void test_all_of_it_can_come_back(void)
{
    rig self = make(48000);
    const scene hum = {50.0, 0.02, 0.0, 0.001f};
    run(&self, &hum, 5.0);
    float *re[k_channels] = {self.re[0], self.re[1]}, *im[k_channels] = {self.im[0], self.im[1]};
    ae_hum_restore(self.hum, 1.0f, re, im);
    float error[2][k_bins_most];
    for (int k = 0; k < self.bins; k++) {
        error[0][k] = re[0][k] - self.before_re[k];
        error[1][k] = im[0][k] - self.before_im[k];
    }
    CHECK(power_of(error[0], error[1], self.bins) <
          1e-12 * power_of(self.before_re, self.before_im, self.bins));
    destroy(&self);
}

static void test_bad_weather(void)
{
    const float bad[] = {NAN, INFINITY, 3e38f};
    rig self = make(16000);
    const scene hum = {50.0, 0.02, 0.0, 0.001f};
    for (int i = 0; i < 3; i++) {
        run(&self, &hum, 4.0);
        CHECK(ae_hum_hz(self.hum) > 0.0f);
        float plane[2][k_bins_most];
        float *re[k_channels] = {plane[0], plane[0]}, *im[k_channels] = {plane[1], plane[1]};
        ae_fill(plane[0], bad[i], self.bins);
        ae_fill(plane[1], bad[i], self.bins);
        ae_hum_remove(self.hum, re, im);
        CHECK(ae_hum_hz(self.hum) == 0.0f); /* starts anew */
        const result after = run(&self, &hum, 1.0);
        CHECK(isfinite(after.left));
    }
    const float values[] = {0.0f, 1e-38f, 1e-20f, 500.0f, 0.0f};
    for (int b = 0; b < 1000; b++) {
        float plane[2][k_bins_most];
        float *re[k_channels] = {plane[0], plane[0]}, *im[k_channels] = {plane[1], plane[1]};
        ae_fill(plane[0], values[b / 200], self.bins);
        ae_fill(plane[1], values[b / 200], self.bins);
        ae_hum_remove(self.hum, re, im);
        CHECK(isfinite(plane[0][3]) && isfinite(plane[1][60]));
    }
    destroy(&self);
}

static void test_reset_is_new_and_no_allocation(void)
{
    rig self = make(16000), fresh = make(16000);
    const scene hum = {50.0, 0.02, 0.0, 0.001f};
    const uint64_t allocations = ae_allocation_count();
    run(&self, &hum, 5.0);
    ae_hum_reset(self.hum);
    CHECK(ae_hum_hz(self.hum) == 0.0f);
    for (int c = 0; c < k_channels; c++) ae_stft_reset(self.full[c]);
    ae_stft_reset(self.bare);
    self.at = 0;
    self.phase = 0.0;
    self.seed = fresh.seed;
    const result a = run(&self, &hum, 5.0), b = run(&fresh, &hum, 5.0);
    CHECK(a.left == b.left && ae_hum_hz(self.hum) == ae_hum_hz(fresh.hum));
    CHECK(ae_hum_hz(self.hum) > 0.0f);
    CHECK(ae_allocation_count() == allocations);
    destroy(&self);
    destroy(&fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_hum_in_noise_goes();
    test_hum_under_a_voice_goes_and_the_voice_stays();
    test_a_drifting_base_is_followed();
    test_it_lets_go_when_the_hum_ends();
    test_all_of_it_can_come_back();
    test_bad_weather();
    test_reset_is_new_and_no_allocation();
    return AE_TEST_RESULT();
}
