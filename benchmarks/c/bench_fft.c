/* CPU time of ae_fft beside KissFFT (float, kiss_fftr), forward and inverse, one JSON line per
 * case.
 *
 * Both run in this process, alternating; each figure is the best of `k_runs` timings of a batch
 * long enough for the clock. KissFFT is whatever library the system installed, as packaged. */
#define _POSIX_C_SOURCE 199309L

#include "ae_common.h"
#include "ae_fft.h"
#include "ae_math.h"

#include <kiss_fftr.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { k_runs = 40, k_batch_points = 120000 };

typedef struct {
    int size;
    ae_fft *ours;
    kiss_fftr_cfg peer_forward, peer_inverse;
    float *time, *re, *im;
    kiss_fft_cpx *spectrum;
} bench;

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static void run_ours_forward(bench *b) { ae_fft_forward(b->ours, b->time, b->re, b->im); }
static void run_ours_inverse(bench *b) { ae_fft_inverse(b->ours, b->re, b->im, b->time); }
static void run_peer_forward(bench *b) { kiss_fftr(b->peer_forward, b->time, b->spectrum); }
static void run_peer_inverse(bench *b) { kiss_fftri(b->peer_inverse, b->spectrum, b->time); }

static double batch_us(bench *b, void (*run)(bench *), int repeats)
{
    const double start = cpu_us();
    for (int i = 0; i < repeats; i++) run(b);
    return (cpu_us() - start) / repeats;
}

static void compare(bench *b, const char *name, void (*ours)(bench *), void (*peer)(bench *))
{
    const int repeats = k_batch_points / b->size;
    double ours_us = 1e30, peer_us = 1e30;
    uint32_t seed = 1;
    for (int run = 0; run < k_runs; run++) {
        /* Fresh values: the peer's unscaled inverse would overflow on its own output. */
        for (int i = 0; i < b->size; i++) b->time[i] = ae_random(&seed);
        ae_fft_forward(b->ours, b->time, b->re, b->im);
        kiss_fftr(b->peer_forward, b->time, b->spectrum);
        ours_us = fmin(ours_us, batch_us(b, ours, repeats));
        peer_us = fmin(peer_us, batch_us(b, peer, repeats));
    }
    printf("{\"case\": \"fft_%s_%d\", \"ours_us\": %.3f, \"peer\": \"kissfft\", \"peer_us\": %.3f, "
           "\"ratio\": %.3f, \"build\": \"%s\", \"compiler\": \"" AE_BENCH_COMPILER
           "\", \"flags\": \"" AE_BENCH_FLAGS "\"}\n",
           name, b->size, ours_us, peer_us, ours_us / peer_us, ae_kernel_build());
    fflush(stdout);
}

static int run_size(int size)
{
    bench b = {.size = size};
    const size_t points = (size_t)size;
    b.peer_forward = kiss_fftr_alloc(size, 0, NULL, NULL);
    b.peer_inverse = kiss_fftr_alloc(size, 1, NULL, NULL);
    b.time = ae_allocate(points * sizeof(float));
    b.re = ae_allocate((points / 2 + 1) * sizeof(float));
    b.im = ae_allocate((points / 2 + 1) * sizeof(float));
    b.spectrum = ae_allocate((points / 2 + 1) * sizeof(kiss_fft_cpx));
    const int ready = ae_fft_create(&b.ours, size) == AE_OK && b.peer_forward && b.peer_inverse &&
                      b.time && b.re && b.im && b.spectrum;
    if (ready) {
        compare(&b, "forward", run_ours_forward, run_peer_forward);
        compare(&b, "inverse", run_ours_inverse, run_peer_inverse);
    }
    ae_fft_destroy(b.ours);
    kiss_fftr_free(b.peer_forward);
    kiss_fftr_free(b.peer_inverse);
    ae_free(b.time);
    ae_free(b.re);
    ae_free(b.im);
    ae_free(b.spectrum);
    return ready;
}

int main(int argc, char **argv)
{
    static const int sizes[] = {320, 480, 512, 960, 1024, 1536, 2048};
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            if (!run_size(atoi(argv[i]))) return 1;
        return 0;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        if (!run_size(sizes[i])) return 1;
    return 0;
}
