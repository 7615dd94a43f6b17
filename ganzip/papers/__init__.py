"""What each paper trains and measures: its plan of units, and the work of one unit."""

# Every table and figure of a paper: item, its file of a run, and a regular expression of the claims
# that rest on it, the most telling first.
_BY_PAPER = {
    "dcgan_kd": (
        ("Table 1: students and regular GANs", "table1.csv", "better than a regular GAN"),
        ("Figure 2: choice of the teacher", "fig2.png", "No student beats"),
        ("Figure 3: training with the MSE loss", "fig3.png", ""),
        ("Figure 4: training with the joint loss", "fig4.png", ""),
        ("Samples over d", "samples.png", ""),
        ("Metric against d", "metric-against-d.png", "The gap|Compression costs|No loss"),
        ("Latent interpolation", "interpolation.png", ""),
        ("Figure 11: artefacts of compression", "fig11.png", "blurred|brings detail"),
        ("Logits of the discriminator", "logits.png", ""),
        ("Claims and verdicts", "claims.csv", "."),
    ),
    "sdakd": (
        ("Table 1: GCFSR", "table1.csv", r"^GCFSR, C = 1/4: SDAKD.*\(C,C\)|^GCFSR.*better than"),
        (
            "Table 2: Real-ESRGAN",
            "table2.csv",
            r"^Real.* C = 1/4: SDAKD.*\(C,C\)|^Real.*better than",
        ),
        ("Table 3: speed", "table3.csv", ""),
        ("Table 4: ablation", "table4.csv", " adds"),
        ("Figure 2: DCD's discriminator", "fig2.png", "takes its student's"),
        (
            "Figure 3: the student's discriminator",
            "fig3.png",
            r"D\(student\) is nearer|D\(student\) under",
        ),
        ("Figure 4: test images, GCFSR", "fig4.png", ""),
        ("The same, Real-ESRGAN", "fig4-realesrgan.png", ""),
        ("A photo by teacher and students", "photo.png", ""),
        ("Claims and verdicts", "claims.csv", "."),
    ),
    "nickel_dime": (
        (
            "Main table: every method and rate",
            "main.csv",
            "p = 0.9: NICKEL & DiME is better than CAGC|better than (?!DiME|NICKEL)",
        ),
        ("What pruning alone does", "pruning.png", ""),
        ("Figure 3a: logits of ITGC", "fig3a.png", "^ITGC: logits"),
        ("Figure 3b: logits of NICKEL & DiME", "fig3b.png", "^NICKEL & DiME, D_"),
        ("Figure 3c: convergence", "fig3c.png", ""),
        ("Figure 4: against the rate", "fig4.png", "gap to CAGC|collapses|recall|loses at most"),
        ("Figure 5: samples", "fig5.png", ""),
        ("Ablations", "ablation.csv", "better than DiME, by|better than DiME|better than NICKEL"),
        ("Claims and verdicts", "claims.csv", "."),
    ),
    "your_own_gan": (
        ("One GAN, compressed in minutes", "cpu/table.csv", ""),
        ("Every method on every family", "matrix.csv", ""),
    ),
}
ITEMS = [(paper, *item) for paper, items in _BY_PAPER.items() for item in items]
"""With the paper in front."""
