/* Truth: libm in double precision; sums in double precision. */
#include "ae_vector_math.h"

#include "ae_test.h"

static void test_log2_against_libm(void)
{
    double worst = 0.0;
    for (double x = 1.2e-38; x < 3e38; x *= 1.00037) {
        const double truth = log2((double)(float)x);
        const double error = fabs((double)ae_log2((float)x) - truth) / fmax(1.0, fabs(truth));
        worst = fmax(worst, error);
    }
    CHECK(worst < 4e-7);
    CHECK(ae_log2(1.0f) == 0.0f && ae_log2(1024.0f) == 10.0f && ae_log2(0.125f) == -3.0f);
}

static void test_exp2_against_libm(void)
{
    double worst = 0.0;
    for (double x = -126.0; x <= 126.0; x += 0.00173)
        worst = fmax(worst, fabs((double)ae_exp2((float)x) / exp2((double)(float)x) - 1.0));
    CHECK(worst < 4e-7);
    CHECK(ae_exp2(0.0f) == 1.0f && ae_exp2(10.0f) == 1024.0f && ae_exp2(-3.0f) == 0.125f);
    CHECK(ae_exp2(1e9f) == ae_exp2(126.0f) && ae_exp2(-1e9f) == ae_exp2(-126.0f));
}

static void test_moving_mean_keeps_faint_values(void)
{
    enum { k_count = 60 };
    float values[k_count], mean[k_count];
    for (int count = 1; count <= k_count; count += 7) {
        for (int reach = 0; reach <= 8; reach++) {
            for (int k = 0; k < count; k++) values[k] = powf(10.0f, 3.0f - 0.3f * (float)k);
            ae_moving_mean(values, mean, count, reach);
            for (int k = 0; k < count; k++) {
                double sum = 0.0;
                int used = 0;
                for (int i = k - reach; i <= k + reach; i++) {
                    if (i < 0 || i >= count) continue;
                    sum += (double)values[i];
                    used++;
                }
                CHECK_NEAR((double)mean[k] * used / sum, 1.0, 2e-6);
            }
        }
    }
}

int main(void)
{
    test_moving_mean_keeps_faint_values();
    test_log2_against_libm();
    test_exp2_against_libm();
    return AE_TEST_RESULT();
}
