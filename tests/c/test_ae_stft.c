/* Truths: perfect reconstruction one hop late, the closed-form sum of the window, a sine's level.
 */
#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

#include <stdlib.h>

enum { k_hops = 24 };

typedef struct {
    ae_stft *stft;
    int hop, bins;
    float *re, *im, *in, *out;
} bench;

static bench open_bench(int hop, int window)
{
    bench b = {.hop = hop};
    const ae_stft_config config = {hop, window};
    CHECK(ae_stft_create(&b.stft, &config) == AE_OK);
    b.bins = ae_stft_bins(b.stft);
    b.re = calloc((size_t)b.bins, sizeof(float));
    b.im = calloc((size_t)b.bins, sizeof(float));
    b.in = calloc((size_t)(hop * k_hops), sizeof(float));
    b.out = calloc((size_t)(hop * k_hops), sizeof(float));
    return b;
}

static void close_bench(bench *b)
{
    ae_stft_destroy(b->stft);
    free(b->re);
    free(b->im);
    free(b->in);
    free(b->out);
}

static void fill_noise(bench *b, uint32_t seed)
{
    for (int i = 0; i < b->hop * k_hops; i++) b->in[i] = ae_random(&seed);
}

static void round_trip(bench *b)
{
    for (int h = 0; h < k_hops; h++) {
        ae_stft_analyse(b->stft, b->in + h * b->hop, b->re, b->im);
        ae_stft_synthesise(b->stft, b->re, b->im, b->out + h * b->hop);
    }
}

static double reconstruction_error_db(const bench *b, int latency)
{
    double signal = 0.0, error = 0.0;
    for (int i = latency; i < b->hop * k_hops; i++) {
        const double wanted = (double)b->in[i - latency], e = (double)b->out[i] - wanted;
        signal += wanted * wanted;
        error += e * e;
    }
    return 10.0 * log10(error / signal + 1e-30);
}

static void test_reconstruction(void)
{
    const int hops[] = {80, 110, 160, 221, 240, 320, 441, 480, 960};
    for (size_t i = 0; i < sizeof(hops) / sizeof(*hops); i++) {
        for (int kind = 0; kind < 2; kind++) {
            const int hop = hops[i], window = kind == 0 ? 2 * hop : (int)lround(3.2 * hop);
            bench b = open_bench(hop, window);
            CHECK(ae_stft_latency_frames(b.stft) == hop);
            fill_noise(&b, 1);
            const uint64_t allocations = ae_allocation_count();
            round_trip(&b);
            CHECK(ae_allocation_count() == allocations);
            CHECK(reconstruction_error_db(&b, hop) < -120.0);
            close_bench(&b);
        }
    }
}

static void test_window_closed_forms(void)
{
    /* The sum of a sqrt-Hann (half a sine) of 2M is cot(pi / 4M); its power is M. */
    bench b = open_bench(480, 960);
    for (int i = 0; i < b.hop * k_hops; i++) b.in[i] = 1.0f;
    round_trip(&b);
    CHECK_NEAR(b.re[0], 1.0 / tan(0.785398163397448 / 480), 1e-3);
    CHECK_NEAR(ae_stft_window_power(b.stft), 480.0, 1e-3);
    CHECK(ae_stft_fft_size(b.stft) == 960 && b.bins == 481);
    close_bench(&b);

    /* Asymmetric: a quarter sine of K - M rising, then a quarter cosine of M falling. */
    bench a = open_bench(441, 1411);
    CHECK(ae_stft_fft_size(a.stft) == 1440 && a.bins == 721);
    for (int i = 0; i < a.hop * k_hops; i++) a.in[i] = 1.0f;
    round_trip(&a);
    const double rise = 0.5 / tan(0.785398163397448 / 970),
                 fall = 0.5 / tan(0.785398163397448 / 441);
    CHECK_NEAR(a.re[0], rise + fall, 1e-3);
    CHECK_NEAR(ae_stft_window_power(a.stft), 0.5 * 1411, 1e-3);
    close_bench(&a);
}

static void test_tone_and_noise_levels(void)
{
    bench b = open_bench(480, 1536); /* bins of 31.25 Hz at 48 kHz */
    const double window_sum =
        0.5 / tan(0.785398163397448 / 1056) + 0.5 / tan(0.785398163397448 / 480);
    for (int i = 0; i < b.hop * k_hops; i++)
        b.in[i] = (float)(0.5 * cos(6.28318530717958648 * 32 * i / 1536));
    round_trip(&b);
    CHECK_NEAR(hypot(b.re[32], b.im[32]), 0.25 * window_sum, 0.02);

    double power = 0.0; /* white noise: window power times variance (1/3) in every bin */
    fill_noise(&b, 9);
    for (int h = 0; h < k_hops; h++) {
        ae_stft_analyse(b.stft, b.in + h * b.hop, b.re, b.im);
        for (int k = 1; h >= 4 && k < b.bins - 1; k++)
            power += (double)(b.re[k] * b.re[k] + b.im[k] * b.im[k]);
    }
    power /= (k_hops - 4) * (b.bins - 2);
    CHECK_NEAR(power * 3.0 / (double)ae_stft_window_power(b.stft), 1.0, 0.03);
    close_bench(&b);
}

/* Noise that is drawn in the spectrum, as comfort noise is, against the power it is said to have.
 */
static void test_power_of_drawn_noise(void)
{
    bench b = open_bench(160, 512);
    uint32_t seed = 3;
    double power = 0.0;
    const float scale = sqrtf(1.5f * ae_stft_window_power(b.stft)); /* |X|^2 of noise of power 1 */
    for (int h = 0; h < k_hops; h++) {
        for (int k = 0; k < b.bins; k++) {
            b.re[k] = scale * ae_random(&seed);
            b.im[k] = scale * ae_random(&seed);
        }
        b.im[0] = b.im[b.bins - 1] = 0.0f;
        ae_stft_synthesise(b.stft, b.re, b.im, b.out);
        for (int i = 0; h > 0 && i < b.hop; i++) power += pow((double)b.out[i], 2.0);
    }
    power /= (k_hops - 1.0) * b.hop;
    CHECK_NEAR(power / (double)ae_stft_random_power(b.stft), 1.0, 0.05);
    close_bench(&b);
}

static void test_reset_is_new(void)
{
    bench used = open_bench(160, 512), fresh = open_bench(160, 512);
    fill_noise(&used, 3);
    round_trip(&used);
    ae_stft_reset(used.stft);
    fill_noise(&used, 4);
    fill_noise(&fresh, 4);
    round_trip(&used);
    round_trip(&fresh); /* and two objects do not disturb each other */
    CHECK(memcmp(used.out, fresh.out, (size_t)(160 * k_hops) * sizeof(float)) == 0);
    CHECK(memcmp(used.re, fresh.re, (size_t)used.bins * sizeof(float)) == 0);
    close_bench(&used);
    close_bench(&fresh);
}

static void test_directions_are_independent(void)
{
    /* One analysis feeding a second object's synthesis, as when channels share a spectrum. */
    bench one = open_bench(240, 768), two = open_bench(240, 768);
    fill_noise(&one, 5);
    for (int h = 0; h < k_hops; h++) {
        ae_stft_analyse(one.stft, one.in + h * 240, one.re, one.im);
        ae_stft_synthesise(two.stft, one.re, one.im, one.out + h * 240);
    }
    CHECK(reconstruction_error_db(&one, 240) < -120.0);
    close_bench(&one);
    close_bench(&two);
}

static void test_bad_weather(void)
{
    bench b = open_bench(221, 707);
    const float levels[] = {0.0f, 64.0f, 1e-40f, -64.0f, 0.0f};
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        ae_fill(b.in, levels[i], b.hop * k_hops);
        round_trip(&b);
        for (int j = 0; j < b.hop * k_hops; j++) CHECK(fabsf(b.out[j]) <= 64.01f);
    }
    CHECK(ae_energy(b.out + b.hop * 5, b.hop) <
          1e-8f); /* silence is back after the window has passed */
    close_bench(&b);
}

static void test_configurations(void)
{
    const ae_stft_config bad[] = {{0, 0},     {3, 64},      {-480, 960},
                                  {480, 959}, {480, 65537}, {16385, 32770}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ae_stft *stft = (ae_stft *)&ae_test_failures;
        CHECK(ae_stft_create(&stft, &bad[i]) == AE_ERROR_ARGUMENT && stft == NULL);
    }
    const ae_stft_config extremes[] = {{4, 8}, {4, 65536}, {16384, 65536}};
    for (size_t i = 0; i < sizeof(extremes) / sizeof(*extremes); i++) {
        ae_stft *stft = NULL;
        CHECK(ae_stft_create(&stft, &extremes[i]) == AE_OK && stft != NULL);
        ae_stft_destroy(stft);
    }
    ae_stft_destroy(NULL);
}

int main(void)
{
    test_reconstruction();
    test_window_closed_forms();
    test_tone_and_noise_levels();
    test_power_of_drawn_noise();
    test_reset_is_new();
    test_directions_are_independent();
    test_bad_weather();
    test_configurations();
    return AE_TEST_RESULT();
}
