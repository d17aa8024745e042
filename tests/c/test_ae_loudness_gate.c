/* Truth: the gates of BS.1770-5 and the percentiles of Tech 3342 on the plain list of blocks. */
#include <math.h>
#include <stdlib.h>

#include "ae_kweight.h"
#include "ae_loudness_gate.h"
#include "ae_math.h"
#include "ae_test.h"

static ae_loudness_gate gate_a, gate_b;

static void *make(ae_loudness_gate *gate)
{
    ae_arena arena = {0};
    ae_loudness_gate_layout(gate, &arena);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    ae_loudness_gate_layout(gate, &arena);
    ae_loudness_gate_reset(gate);
    return arena.base;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Mean of the energies above a gate; their number. */
static int mean_above(const double *sorted, int count, double gate, double *mean)
{
    int kept = 0;
    *mean = 0.0;
    for (int i = 0; i < count; i++) {
        if (sorted[i] <= gate) continue;
        *mean += sorted[i];
        kept++;
    }
    *mean /= kept;
    return kept;
}

/* 24 hours of blocks, speech-like: two levels with a spread, and pauses. */
static void test_histogram_against_list(void)
{
    enum { count = 24 * 36000 };
    double *energies = malloc(count * sizeof(double)), mean, loud;
    void *memory_a = make(&gate_a), *memory_b = make(&gate_b);
    uint32_t seed = 9;
    for (int i = 0; i < count; i++) {
        const float level = i / 3000 % 7 == 0 ? -75.0f : i / 500 % 3 == 0 ? -34.0f : -21.0f;
        const float spread = 6.0f * (ae_random(&seed) + ae_random(&seed));
        energies[i] = (double)ae_power_from_db(level + spread);
        ae_loudness_gate_add(i % 3 == 0 ? &gate_a : &gate_b, energies[i]);
    }
    ae_loudness_gate_merge(&gate_a, &gate_b);
    qsort(energies, count, sizeof *energies, ascending);
    const double absolute = pow(10.0, 0.1 * (-70.0 + 0.691));
    mean_above(energies, count, absolute, &mean);
    mean_above(energies, count, fmax(absolute, 0.1 * mean), &loud);
    CHECK_NEAR(ae_loudness_gate_mean_lufs(&gate_a), ae_lufs_from_mean_square(loud), 0.005);
    const int kept = mean_above(energies, count, fmax(absolute, 0.01 * mean), &loud);
    const double high = energies[count - kept + lround((kept - 1) * 0.95)];
    const double low = energies[count - kept + lround((kept - 1) * 0.10)];
    CHECK_NEAR(ae_loudness_gate_range_lu(&gate_a), 10.0 * log10(high / low), 0.02);
    ae_loudness_gate_reset(&gate_a);
    CHECK(isinf(ae_loudness_gate_mean_lufs(&gate_a)) && ae_loudness_gate_range_lu(&gate_a) == 0.0);
    free(energies);
    ae_free(memory_a);
    ae_free(memory_b);
}

/* Loudness by the list; *share is the part of the blocks that count within 0.01 LU of the gate. */
static double exact_lufs(double *energies, int count, double *share)
{
    const double absolute = pow(10.0, 0.1 * (-70.0 + 0.691)), bin = pow(10.0, 0.001);
    double mean, loud, near;
    qsort(energies, (size_t)count, sizeof *energies, ascending);
    mean_above(energies, count, absolute, &mean);
    const int kept = mean_above(energies, count, 0.1 * mean, &loud);
    *share = (mean_above(energies, count, 0.1 * mean / bin, &near) -
              mean_above(energies, count, 0.1 * mean * bin, &near)) /
             (double)kept;
    return ae_lufs_from_mean_square(loud);
}

/* Half of the blocks at -20 LUFS, half on the relative gate, the worst place: as a bed of noise
 * (spread 0.1 LU, as its 400 ms blocks have), as a fade across the gate, as one steady tone beside
 * it. The fourth kind, two tones within one bin, no histogram can tell apart: the stated bound. */
static void test_blocks_on_the_relative_gate(void)
{
    enum { count = 10000 };
    static double energies[count];
    static const double limit[3] = {0.01, 0.003, 1e-9};
    void *memory = make(&gate_a);
    uint32_t seed = 3;
    for (int trial = 0; trial < 80; trial++) {
        const int kind = trial % 4;
        const float offset = 0.02f * ae_random(&seed);
        ae_loudness_gate_reset(&gate_a);
        for (int i = 0; i < count; i++) {
            float level = -20.0f;
            if (i % 2 == 1) { /* 10 LU below the mean of both, within the offset */
                level = -32.7875f + offset;
                if (kind == 0) level += 0.12f * (ae_random(&seed) + ae_random(&seed));
                if (kind == 1) level += 3.0f * ae_random(&seed);
                if (kind == 3) level += i % 4 == 1 ? 0.003f : -0.003f;
            }
            energies[i] = pow(10.0, 0.1 * (double)level);
            ae_loudness_gate_add(&gate_a, energies[i]);
        }
        double share;
        const double exact = exact_lufs(energies, count, &share);
        const double error = fabs(ae_loudness_gate_mean_lufs(&gate_a) - exact);
        if (kind < 3) CHECK(error <= limit[kind]);
        CHECK(error <= 1e-9 - 10.0 * log10(1.0 - fmin(share, 0.999)));
    }
    ae_free(memory);
}

static void test_edges(void)
{
    void *memory = make(&gate_a);
    const double at_gate = pow(10.0, 0.1 * (-70.0 + 0.691));
    ae_loudness_gate_add(&gate_a, 0.0);
    ae_loudness_gate_add(&gate_a, at_gate * 0.999);
    CHECK(isinf(ae_loudness_gate_mean_lufs(&gate_a)));
    ae_loudness_gate_add(&gate_a, at_gate * 1.001); /* one block, in the first bin */
    CHECK_NEAR(ae_loudness_gate_mean_lufs(&gate_a), -70.0, 0.01);
    CHECK(ae_loudness_gate_range_lu(&gate_a) == 0.0);
    ae_loudness_gate_add(&gate_a,
                         4096.0); /* far above the last bin: its sum is exact all the same */
    CHECK_NEAR(ae_loudness_gate_mean_lufs(&gate_a), 10.0 * log10(4096.0) - 0.691, 1e-9);
    ae_free(memory);
}

int main(void)
{
    test_histogram_against_list();
    test_blocks_on_the_relative_gate();
    test_edges();
    return AE_TEST_RESULT();
}
