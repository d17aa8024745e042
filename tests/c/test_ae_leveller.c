#include "ae_leveller.h"
#include "ae_test.h"

int main(void)
{
    ae_leveller *leveller = NULL;
    ae_leveller_config config = ae_leveller_default_config(48000);
    CHECK(ae_leveller_create(&leveller, &config) == AE_OK);
    ae_leveller_destroy(leveller);
    config.target_lufs = NAN;
    CHECK(ae_leveller_create(&leveller, &config) == AE_ERROR_ARGUMENT && leveller == NULL);
    return AE_TEST_RESULT();
}
