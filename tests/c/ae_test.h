/* ae_test.h - the whole test framework: CHECK prints where and what, main returns the failure
 * count. */
#ifndef AE_TEST_H
#define AE_TEST_H

#include <math.h>
#include <stdio.h>

static int ae_test_failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                         \
            ae_test_failures++;                                                                    \
        }                                                                                          \
    } while (0)

#define CHECK_NEAR(value, expected, tolerance)                                                     \
    do {                                                                                           \
        const double got_ = (double)(value), want_ = (double)(expected);                           \
        if (!(fabs(got_ - want_) <= (double)(tolerance))) {                                        \
            printf("%s:%d: failed: %s = %.9g, wanted %.9g +- %.3g\n", __FILE__, __LINE__, #value,  \
                   got_, want_, (double)(tolerance));                                              \
            ae_test_failures++;                                                                    \
        }                                                                                          \
    } while (0)

#define AE_TEST_RESULT() (printf("%d checks failed\n", ae_test_failures), ae_test_failures != 0)

#endif
