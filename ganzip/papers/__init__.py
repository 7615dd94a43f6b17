"""What each paper trains and measures: its plan of units, and the work of one unit."""

# Of the kept runs (figures/<paper>/<run>/) the one that README and the first notebook speak of.
REFERENCE = {
    "dcgan_kd": "cpu-mnist-x2",
    "sdakd": "cpu-faces-ffhq-style-256+photos-bsds-train-x1.5-s3",
    "nickel_dime": "cpu-mnist-s3",
}

# Every table and figure: paper, item, its file of a run, and a regular expression of the claims
# that rest on it, the most telling first.
ITEMS = (
    ("dcgan_kd", "Table 1: students and regular GANs", "table1.csv", "better than a regular GAN"),
    ("dcgan_kd", "Figure 2: choice of the teacher", "fig2.png", "No student beats"),
    ("dcgan_kd", "Figure 3: training with the MSE loss", "fig3.png", ""),
    ("dcgan_kd", "Figure 4: training with the joint loss", "fig4.png", ""),
    ("dcgan_kd", "Samples over d", "samples.png", ""),
    ("dcgan_kd", "Metric against d", "metric-against-d.png", "The gap|Compression costs|No loss"),
    ("dcgan_kd", "Latent interpolation", "interpolation.png", ""),
    ("dcgan_kd", "Figure 11: artefacts of compression", "fig11.png", "blurred|brings detail"),
    ("dcgan_kd", "Logits of the discriminator", "logits.png", ""),
    ("dcgan_kd", "Claims and verdicts", "claims.csv", "."),
    (
        "sdakd",
        "Table 1: GCFSR",
        "table1.csv",
        r"^GCFSR, C = 1/4: SDAKD.*\(C,C\)|^GCFSR.*better than",
    ),
    (
        "sdakd",
        "Table 2: Real-ESRGAN",
        "table2.csv",
        r"^Real.* C = 1/4: SDAKD.*\(C,C\)|^Real.*better than",
    ),
    ("sdakd", "Table 3: speed", "table3.csv", "each halving"),
    ("sdakd", "Table 4: ablation", "table4.csv", " adds"),
    ("sdakd", "Figure 2: DCD's discriminator", "fig2.png", "takes its student's"),
    (
        "sdakd",
        "Figure 3: the student's discriminator",
        "fig3.png",
        r"P\(fake\) is nearer|P\(fake\) under",
    ),
    ("sdakd", "Figure 4: test images, GCFSR", "fig4.png", ""),
    ("sdakd", "The same, Real-ESRGAN", "fig4-realesrgan.png", ""),
    ("sdakd", "A photo by teacher and students", "photo.png", ""),
    ("sdakd", "Claims and verdicts", "claims.csv", "."),
    (
        "nickel_dime",
        "Main table: every method and rate",
        "main.csv",
        "p = 0.9: NICKEL & DiME is better than CAGC|better than (?!DiME|NICKEL)",
    ),
    ("nickel_dime", "What pruning alone does", "pruning.png", ""),
    ("nickel_dime", "Figure 3a: logits at a mild rate", "fig3a.png", "^ITGC: logits"),
    ("nickel_dime", "Figure 3b: logits at an extreme rate", "fig3b.png", "^NICKEL & DiME, D_"),
    ("nickel_dime", "Figure 3c: convergence", "fig3c.png", ""),
    (
        "nickel_dime",
        "Figure 4: against the rate",
        "fig4.png",
        "gap to CAGC|collapses|recall|loses at most",
    ),
    ("nickel_dime", "Figure 5: samples", "fig5.png", ""),
    (
        "nickel_dime",
        "Ablations",
        "ablation.csv",
        "better than DiME, by|better than DiME|better than NICKEL",
    ),
    ("nickel_dime", "Claims and verdicts", "claims.csv", "."),
    ("your_own_gan", "One GAN, compressed in minutes", "cpu/table.csv", ""),
    ("your_own_gan", "Every method on every family", "matrix.csv", ""),
)


def kept(paper: str, file: str) -> str:
    """Where the file of an item is under figures/."""
    return "/".join([paper, *([REFERENCE[paper]] if paper in REFERENCE else []), file])
