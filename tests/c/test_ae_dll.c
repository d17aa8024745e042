/* Truth: a clock with a known slope. */
#include "ae_dll.h"
#include "ae_test.h"

static void test_a_slope_is_found(void)
{
    const ae_dll_config bad = {7999}, config = {48000};
    ae_dll *self = NULL;
    CHECK(ae_dll_create(&self, &bad) == AE_ERROR_ARGUMENT && self == NULL);
    CHECK(ae_dll_create(&self, &config) == AE_OK);
    for (int i = 0; i < 3000; i++) ae_dll_update(self, 5.0 + 0.01 * i / 1.0002, 480 * (int64_t)i);
    ae_dll_report report;
    ae_dll_read(self, &report);
    CHECK(report.locked && report.steps == 0);
    CHECK_NEAR(report.rate_ppm, 200.0, 0.5);
    CHECK_NEAR(ae_dll_time_of(self, 480.0 * 3000.0), 5.0 + 30.0 / 1.0002, 1e-5);
    ae_dll_destroy(self);
}

int main(void)
{
    test_a_slope_is_found();
    return AE_TEST_RESULT();
}
