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
    test_edges();
    return AE_TEST_RESULT();
}
