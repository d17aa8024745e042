/* Truths: a naive double DFT at every size up to 600, closed forms, Parseval, round trip. */
#include "ae_fft.h"
#include "ae_math.h"
#include "ae_test.h"

#include <stdlib.h>

static const double k_two_pi = 6.28318530717958647692;

typedef struct {
    int size, bins;
    ae_fft *fft;
    float *time, *copy, *re, *im;
} bench;

static bench open_bench(int size, uint32_t seed)
{
    bench b = {.size = size, .bins = size / 2 + 1};
    CHECK(ae_fft_create(&b.fft, size) == AE_OK && ae_fft_size(b.fft) == size);
    b.time = malloc((size_t)size * sizeof(float));
    b.copy = malloc((size_t)size * sizeof(float));
    b.re = malloc((size_t)b.bins * sizeof(float));
    b.im = malloc((size_t)b.bins * sizeof(float));
    for (int i = 0; i < size; i++) b.time[i] = b.copy[i] = ae_random(&seed);
    return b;
}

static void close_bench(bench *b)
{
    ae_fft_destroy(b->fft);
    free(b->time);
    free(b->copy);
    free(b->re);
    free(b->im);
}

static double snr_db(double signal, double error)
{
    return 10.0 * log10(signal / (error + 1e-300));
}

/* SNR of the transform against a double DFT in every `step`-th bin. */
static double dft_snr_db(const bench *b, int step)
{
    double *cosine = malloc((size_t)b->size * sizeof(double));
    for (int t = 0; t < b->size; t++) cosine[t] = cos(k_two_pi * t / b->size);
    double signal = 0.0, error = 0.0;
    for (int k = 0; k < b->bins; k += step) {
        double re = 0.0, im = 0.0;
        for (int t = 0; t < b->size; t++) {
            const int64_t turn = (int64_t)k * t % b->size;
            re += (double)b->time[t] * cosine[turn];
            im -= (double)b->time[t] * sin(k_two_pi * (double)turn / b->size);
        }
        const double error_re = re - (double)b->re[k], error_im = im - (double)b->im[k];
        signal += re * re + im * im;
        error += error_re * error_re + error_im * error_im;
    }
    free(cosine);
    return snr_db(signal, error);
}

static void check_size(int size, int step)
{
    bench b = open_bench(size, (uint32_t)size);
    const uint64_t allocations = ae_allocation_count();
    ae_fft_forward(b.fft, b.time, b.re, b.im);
    CHECK(dft_snr_db(&b, step) >= 120.0);
    CHECK(b.im[0] == 0.0f && b.im[size / 2] == 0.0f);
    CHECK(memcmp(b.time, b.copy, (size_t)size * sizeof(float)) == 0);

    double energy = 0.0, spectrum = 0.0, error = 0.0;
    for (int k = 0; k < b.bins; k++) {
        const double power = (double)b.re[k] * (double)b.re[k] + (double)b.im[k] * (double)b.im[k];
        spectrum += power * (k == 0 || k == size / 2 ? 1.0 : 2.0) / size;
    }
    ae_fft_inverse(b.fft, b.re, b.im, b.time);
    for (int i = 0; i < size; i++) {
        const double wanted = (double)b.copy[i], difference = (double)b.time[i] - wanted;
        energy += wanted * wanted;
        error += difference * difference;
    }
    CHECK_NEAR(spectrum / energy, 1.0, 1e-6);
    CHECK(snr_db(energy, error) >= 120.0);
    CHECK(ae_allocation_count() == allocations);
    close_bench(&b);
}

static void test_impulses_and_sines(void)
{
    bench b = open_bench(960, 1);
    ae_zero(b.time, b.size);
    b.time[7] = 1.0f; /* X[k] = exp(-2 pi i 7 k / n) */
    ae_fft_forward(b.fft, b.time, b.re, b.im);
    for (int k = 0; k < b.bins; k++) {
        CHECK_NEAR(b.re[k], cos(k_two_pi * 7 * k / b.size), 1e-6);
        CHECK_NEAR(b.im[k], -sin(k_two_pi * 7 * k / b.size), 1e-6);
    }
    for (int t = 0; t < b.size; t++)
        b.time[t] = (float)(0.25 + 0.5 * cos(k_two_pi * 40 * t / b.size + 1.0));
    ae_fft_forward(b.fft, b.time, b.re, b.im);
    for (int k = 0; k < b.bins; k++) {
        const double amplitude = k == 40 ? 0.25 * b.size : 0.0;
        CHECK_NEAR(b.re[k], amplitude * cos(1.0) + (k == 0 ? 0.25 * b.size : 0.0), 2e-4);
        CHECK_NEAR(b.im[k], amplitude * sin(1.0), 2e-4);
    }
    close_bench(&b);
}

static void test_linearity(void)
{
    bench x = open_bench(1024, 1), y = open_bench(1024, 2), sum = open_bench(1024, 3);
    for (int i = 0; i < 1024; i++) sum.time[i] = x.time[i] - 0.5f * y.time[i];
    ae_fft_forward(x.fft, x.time, x.re, x.im);
    ae_fft_forward(y.fft, y.time, y.re, y.im); /* two objects do not disturb each other */
    ae_fft_forward(sum.fft, sum.time, sum.re, sum.im);
    for (int k = 0; k < x.bins; k++) {
        CHECK_NEAR(sum.re[k], x.re[k] - 0.5f * y.re[k], 5e-5);
        CHECK_NEAR(sum.im[k], x.im[k] - 0.5f * y.im[k], 5e-5);
    }
    close_bench(&x);
    close_bench(&y);
    close_bench(&sum);
}

static void test_inverse_reads_only(void)
{
    bench b = open_bench(320, 5);
    ae_fft_forward(b.fft, b.time, b.re, b.im);
    ae_fft_inverse(b.fft, b.re, b.im, b.time);
    float re[161], im[161], time[320];
    ae_copy(re, b.re, 161);
    ae_copy(im, b.im, 161);
    im[0] = 3.0f; /* bins without an imaginary part: not looked at */
    im[160] = -2.0f;
    ae_fft_inverse(b.fft, re, im, time);
    CHECK(memcmp(time, b.time, sizeof(time)) == 0);
    CHECK(memcmp(re, b.re, sizeof(re)) == 0);
    CHECK(im[0] == 3.0f && im[160] == -2.0f);
    CHECK(memcmp(im + 1, b.im + 1, 159 * sizeof(float)) == 0);
    close_bench(&b);
}

static void test_bad_weather(void)
{
    bench b = open_bench(480, 6);
    const float levels[] = {0.0f, 64.0f, 1e-40f, 1e30f};
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        ae_fill(b.time, levels[i], b.size);
        ae_fft_forward(b.fft, b.time, b.re, b.im);
        for (int k = 0; k < b.bins; k++) CHECK(isfinite(b.re[k]) && isfinite(b.im[k]));
    }
    b.time[3] = NAN;
    ae_fft_forward(b.fft, b.time, b.re, b.im);
    CHECK(isnan(b.re[0]));
    ae_fft_forward(b.fft, b.copy, b.re, b.im); /* nothing of it is kept */
    ae_copy(b.time, b.copy, b.size);
    CHECK(dft_snr_db(&b, 1) >= 120.0);
    close_bench(&b);
}

static int is_good(int size)
{
    if (size < 4 || size > 65536 || size % 2 != 0) return 0;
    while (size % 2 == 0) size /= 2;
    while (size % 3 == 0) size /= 3;
    while (size % 5 == 0) size /= 5;
    return size == 1;
}

static void test_sizes(void)
{
    int next = 65536;
    for (int minimum = 65536; minimum >= -3; minimum--) {
        if (is_good(minimum)) next = minimum;
        CHECK(ae_fft_good_size(minimum) == next);
    }
    CHECK(ae_fft_good_size(65537) == 0 && ae_fft_good_size(INT32_MAX) == 0);
    CHECK(ae_fft_good_size(882) == 900 && ae_fft_good_size(INT32_MIN) == 4);
    for (int size = -4; size < 700; size++) {
        ae_fft *fft = (ae_fft *)&next;
        const ae_status status = ae_fft_create(&fft, size);
        CHECK(status == (is_good(size) ? AE_OK : AE_ERROR_ARGUMENT));
        CHECK((fft != NULL) == is_good(size));
        ae_fft_destroy(fft);
    }
    ae_fft *fft = NULL;
    CHECK(ae_fft_create(&fft, 131072) == AE_ERROR_ARGUMENT && fft == NULL);
    const uint64_t allocations = ae_allocation_count();
    CHECK(ae_fft_create(&fft, 59049 / 3 * 2) == AE_OK); /* 2 x 3^9: the most passes there are */
    CHECK(ae_allocation_count() == allocations + 1);
    ae_fft_destroy(fft);
}

int main(void)
{
    for (int size = 4; size <= 600; size = ae_fft_good_size(size + 1)) check_size(size, 1);
    const int larger[] = {640,  900,  960,  1024,  1440,  1536, 2048,
                          3072, 4096, 8192, 16384, 39366, 65536};
    for (size_t i = 0; i < sizeof(larger) / sizeof(*larger); i++)
        check_size(larger[i], larger[i] > 20000 ? 997 : 29);
    test_impulses_and_sines();
    test_linearity();
    test_inverse_reads_only();
    test_bad_weather();
    test_sizes();
    return AE_TEST_RESULT();
}
