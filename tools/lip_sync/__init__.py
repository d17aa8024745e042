"""Train the projections and the confidence of the lip-sync estimator anew; see README.md."""
