/* Truths: the sums of the signals themselves, tones of known power, noise of known power. */
#include "ae_echo_spectra.h"

#include "ae_fft.h"
#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

enum { k_rate = 16000, k_hop = 160, k_window = 512, k_bins = 257, k_filter_bins = k_hop + 1 };

typedef struct {
    ae_echo_spectra *part;
    ae_stft *error_stft;
    uint32_t seed;
    int at; /* frames so far */
    float echo[k_hop], prior_echo[k_hop], far_end[k_hop], capture[k_hop], error[k_hop];
    float misadjustment[k_filter_bins];
    float re[k_bins], im[k_bins]; /* of the error */
    ae_echo_view view;
} rig;

static void make(rig *self)
{
    *self = (rig){.seed = 9};
    const ae_echo_spectra_config config = {k_hop, k_window};
    const ae_stft_config stft = {k_hop, k_window};
    CHECK(ae_echo_spectra_create(&self->part, &config) == AE_OK);
    CHECK(ae_stft_create(&self->error_stft, &stft) == AE_OK);
    CHECK(ae_stft_bins(self->error_stft) == k_bins);
    self->view = (ae_echo_view){.frames = k_hop,
                                .capture = self->capture,
                                .far_end = self->far_end,
                                .echo = self->echo,
                                .prior_echo = self->prior_echo,
                                .misadjustment_power = self->misadjustment,
                                .misadjustment_bins = k_filter_bins,
                                .far_active = 1,
                                .trust = 1.0f};
}

static void destroy(rig *self)
{
    ae_echo_spectra_destroy(self->part);
    ae_stft_destroy(self->error_stft);
}

/* One hop of what lies in echo, prior_echo, far_end and capture. */
static const ae_echo_planes *update(rig *self)
{
    for (int i = 0; i < k_hop; i++) self->error[i] = self->capture[i] - self->echo[i];
    ae_stft_analyse(self->error_stft, self->error, self->re, self->im);
    ae_echo_spectra_update(self->part, &self->view, self->re, self->im);
    self->at += k_hop;
    return ae_echo_spectra_planes(self->part);
}

static void fill_noise(rig *self)
{
    float *signals[] = {self->echo, self->prior_echo, self->far_end, self->capture};
    static const float levels[] = {0.2f, 0.15f, 0.5f, 0.3f};
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < k_hop; i++) signals[s][i] = levels[s] * ae_random(&self->seed);
}

static void fill_tone(const rig *self, float *signal, float amplitude, int bin)
{
    for (int i = 0; i < k_hop; i++)
        signal[i] = amplitude * (float)cos(6.283185307179586 * bin * (self->at + i) / k_window);
}

static float power_of(const float *re, const float *im, int k)
{
    return re[k] * re[k] + im[k] * im[k];
}

static void test_create_checks_every_field(void)
{
    const ae_echo_spectra_config bad[] = {{0, 512}, {3, 512}, {160, 319}, {160, 65537}};
    for (int i = 0; i < 4; i++) {
        ae_echo_spectra *self = (ae_echo_spectra *)&bad;
        CHECK(ae_echo_spectra_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_echo_spectra_destroy(NULL);
}

/* Every plane is the power of a signal that a transform of its own gives, to rounding:
 * capture = echo + error, a priori error = capture - prior echo. */
static void test_the_planes_are_those_of_the_signals(void)
{
    rig self;
    make(&self);
    enum { k_echo, k_far_end, k_capture, k_prior_error, k_step, k_signals };
    ae_stft *stft[k_signals];
    const ae_stft_config config = {k_hop, k_window};
    for (int s = 0; s < k_signals; s++) CHECK(ae_stft_create(&stft[s], &config) == AE_OK);
    for (int t = 0; t < 20; t++) {
        static float re[k_signals][k_bins], im[k_signals][k_bins];
        float prior_error[k_hop], step[k_hop];
        fill_noise(&self);
        const ae_echo_planes *planes = update(&self);
        for (int i = 0; i < k_hop; i++) {
            prior_error[i] = self.capture[i] - self.prior_echo[i];
            step[i] = prior_error[i] - self.error[i];
        }
        const float *signals[k_signals] = {self.echo, self.far_end, self.capture, prior_error,
                                           step};
        for (int s = 0; s < k_signals; s++) ae_stft_analyse(stft[s], signals[s], re[s], im[s]);
        const float *powers[] = {planes->echo, planes->far_end, planes->capture,
                                 planes->prior_error};
        for (int s = 0; s < k_step; s++)
            for (int k = 0; k < k_bins; k++)
                CHECK_NEAR(powers[s][k], power_of(re[s], im[s], k), 1e-3);
        for (int k = 0; k < k_bins; k++) {
            CHECK_NEAR(planes->error[k], power_of(self.re, self.im, k), 1e-4);
            CHECK_NEAR(planes->step_re[k], re[k_step][k], 1e-4);
            CHECK_NEAR(planes->step_im[k], im[k_step][k], 1e-4);
        }
    }
    for (int s = 0; s < k_signals; s++) ae_stft_destroy(stft[s]);
    destroy(&self);
}

static int loudest(const float *power)
{
    int best = 0;
    for (int k = 1; k < k_bins; k++)
        if (power[k] > power[best]) best = k;
    return best;
}

/* |FFT|^2 over half the bins to the mean square of the signal. */
static double mean_square(const rig *self, const float *power)
{
    double sum = 0.0;
    for (int k = 0; k < k_bins; k++) sum += (double)power[k];
    return sum * 2.0 / (k_window * (double)ae_stft_window_power(self->error_stft));
}

/* A tone in each signal: it stands in its own planes, at its place, with its power. */
static void test_tones_of_known_power(void)
{
    rig self;
    make(&self);
    const ae_echo_planes *planes = NULL;
    for (int t = 0; t < 10; t++) { /* no near end: a posteriori 0.1 of the echo is left */
        fill_tone(&self, self.far_end, 0.8f, 100);
        fill_tone(&self, self.capture, 0.5f, 40);
        fill_tone(&self, self.echo, 0.4f, 40);
        fill_tone(&self, self.prior_echo, 0.3f, 40);
        planes = update(&self);
    }
    CHECK(loudest(planes->far_end) == 100 && loudest(planes->capture) == 40);
    CHECK(loudest(planes->echo) == 40 && loudest(planes->error) == 40);
    CHECK_NEAR(mean_square(&self, planes->far_end) / 0.32, 1.0, 0.02);
    CHECK_NEAR(mean_square(&self, planes->capture) / 0.125, 1.0, 0.02);
    CHECK_NEAR(mean_square(&self, planes->echo) / 0.08, 1.0, 0.02);
    CHECK_NEAR(mean_square(&self, planes->error) / 0.005, 1.0, 0.02);
    CHECK_NEAR(mean_square(&self, planes->prior_error) / 0.02, 1.0, 0.02);
    CHECK(planes->capture[100] < 1e-4f * planes->far_end[100]);
    destroy(&self);
}

/* A straight line over frequency stays one, ends included, whatever the number of bins. */
static void test_misadjustment_is_interpolated(void)
{
    static const int counts[] = {2, 81, k_filter_bins, k_bins, 400};
    rig self;
    make(&self);
    static float line[400];
    const float scale = ae_stft_window_power(self.error_stft) / (float)k_hop;
    for (int c = 0; c < 5; c++) {
        self.view.misadjustment_power = line;
        self.view.misadjustment_bins = counts[c];
        for (int k = 0; k < counts[c]; k++)
            line[k] = 1.0f + 3.0f * (float)k / (float)(counts[c] - 1);
        const ae_echo_planes *planes = update(&self);
        for (int k = 0; k < k_bins; k++)
            CHECK_NEAR(planes->misadjustment[k], scale * (1.0f + 3.0f * (float)k / 256.0f),
                       1e-3 * (double)scale);
    }
    destroy(&self);
}

/* Noise that is the misadjustment itself: its power in the filter's scale, |FFT|^2 of the block
 * alone, comes out as its power in this grid's, here the error's. */
static void test_misadjustment_has_the_planes_scale(void)
{
    rig self;
    make(&self);
    ae_fft *fft = NULL;
    CHECK(ae_fft_create(&fft, 2 * k_hop) == AE_OK);
    double expected = 0.0, found = 0.0;
    for (int t = 0; t < 200; t++) {
        float padded[2 * k_hop] = {0.0f}, re[k_filter_bins], im[k_filter_bins];
        for (int i = 0; i < k_hop; i++) padded[i] = self.capture[i] = ae_random(&self.seed);
        ae_fft_forward(fft, padded, re, im);
        for (int k = 0; k < k_filter_bins; k++) self.misadjustment[k] = power_of(re, im, k);
        const ae_echo_planes *planes = update(&self);
        for (int k = 5; t >= 4 && k < k_bins - 5; k++) {
            expected += (double)planes->misadjustment[k];
            found += (double)planes->error[k];
        }
    }
    CHECK_NEAR(10.0 * log10(expected / found), 0.0, 0.3);
    ae_fft_destroy(fft);
    destroy(&self);
}

static void check_equal(const ae_echo_planes *a, const ae_echo_planes *b)
{
    const float *of_a[] = {a->error,   a->prior_error,   a->capture, a->echo,
                           a->far_end, a->misadjustment, a->step_re, a->step_im};
    const float *of_b[] = {b->error,   b->prior_error,   b->capture, b->echo,
                           b->far_end, b->misadjustment, b->step_re, b->step_im};
    for (int p = 0; p < 8; p++) CHECK(memcmp(of_a[p], of_b[p], sizeof(float) * k_bins) == 0);
}

/* After silence, full scale, denormals and NaN: 40 ms of clean signal, and all is finite; reset is
 * new at once; two objects side by side do not disturb each other. */
static void test_bad_weather_and_reset(void)
{
    static const float levels[] = {0.0f, 64.0f, 1e-40f, 1e-3f, NAN, INFINITY};
    rig used, fresh, other;
    make(&used);
    make(&fresh);
    make(&other);
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 120; t++) {
        float *signals[] = {used.echo, used.prior_echo, used.far_end, used.capture};
        const float level = levels[t / 10 % 6];
        const int is_bad = t % 10 < 5;
        fill_noise(&used);
        for (int s = 0; is_bad && s < 4; s++)
            for (int i = 0; i < k_hop; i++) signals[s][i] = (i + t * s) % 3 ? level : -level;
        ae_fill(used.misadjustment, is_bad ? level * level : 1.0f, k_filter_bins);
        const ae_echo_planes *planes = update(&used);
        for (int k = 0; k < k_bins && (t % 10 >= 8 || isfinite(level)); k++)
            CHECK(isfinite(planes->capture[k]) && isfinite(planes->misadjustment[k]) &&
                  isfinite(planes->prior_error[k]) && isfinite(planes->far_end[k]));
    }
    ae_echo_spectra_reset(used.part);
    ae_stft_reset(used.error_stft);
    ae_fill(used.misadjustment, 0.0f, k_filter_bins);
    used.seed = fresh.seed;
    for (int t = 0; t < 10; t++) {
        fill_noise(&used);
        fill_noise(&fresh);
        fill_noise(&other);
        fill_noise(&other);
        const ae_echo_planes *a = update(&used);
        update(&other);
        check_equal(a, update(&fresh));
    }
    CHECK(ae_allocation_count() == allocations);
    destroy(&used);
    destroy(&fresh);
    destroy(&other);
}

int main(void)
{
    test_create_checks_every_field();
    test_the_planes_are_those_of_the_signals();
    test_tones_of_known_power();
    test_misadjustment_is_interpolated();
    test_misadjustment_has_the_planes_scale();
    test_bad_weather_and_reset();
    return AE_TEST_RESULT();
}
