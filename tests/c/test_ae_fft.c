/* Truths: a naive double DFT for every size, closed forms (impulse, sines), Parseval. */
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

int main(void)
{
    for (int size = 4; size <= 600; size = ae_fft_good_size(size + 1)) check_size(size, 1);
    const int larger[] = {640, 900, 960, 1024, 1440, 1536, 2048, 3072, 4096, 8192, 16384};
    for (size_t i = 0; i < sizeof(larger) / sizeof(*larger); i++) check_size(larger[i], 29);
    return AE_TEST_RESULT();
}
