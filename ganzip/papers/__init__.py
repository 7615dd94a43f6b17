"""What each paper trains and measures: its plan of units, and the work of one unit."""

# Of the kept runs (figures/<paper>/<run>/) the one that README and the first notebook speak of.
REFERENCE = {
    "dcgan_kd": "cpu-mnist-x2",
    "sdakd": "cpu-faces-ffhq-style-256+photos-bsds-train-x1.5-s3",
    "nickel_dime": "cpu-mnist-s3",
}

# Every table and figure: paper, item, notebook, its file of a run, and a regular expression of the
# claims that rest on it, the most telling first.
ITEMS = (
    (
        "A",
        "Table 1: students and regular GANs",
        "1_dcgan_kd",
        "dcgan_kd/table1.csv",
        "better than a regular GAN",
    ),
    ("A", "Figure 2: choice of the teacher", "1_dcgan_kd", "dcgan_kd/fig2.png", "No student beats"),
    ("A", "Figure 3: training with the MSE loss", "1_dcgan_kd", "dcgan_kd/fig3.png", ""),
    ("A", "Figure 4: training with the joint loss", "1_dcgan_kd", "dcgan_kd/fig4.png", ""),
    ("A", "Samples over d", "1_dcgan_kd", "dcgan_kd/samples.png", ""),
    (
        "A",
        "Metric against d",
        "1_dcgan_kd",
        "dcgan_kd/metric-against-d.png",
        "The gap|Compression costs|No loss",
    ),
    ("A", "Latent interpolation", "1_dcgan_kd", "dcgan_kd/interpolation.png", ""),
    (
        "A",
        "Figure 11: artefacts of compression",
        "1_dcgan_kd",
        "dcgan_kd/fig11.png",
        "blurred|brings detail",
    ),
    ("A", "Logits of the discriminator", "1_dcgan_kd", "dcgan_kd/logits.png", ""),
    ("A", "Claims and verdicts", "1_dcgan_kd", "dcgan_kd/claims.csv", "."),
    (
        "B",
        "Table 1: GCFSR",
        "2_sdakd",
        "sdakd/table1.csv",
        r"^GCFSR, C = 1/4: SDAKD is better than naive \(C,C\)|^GCFSR.*better than",
    ),
    (
        "B",
        "Table 2: Real-ESRGAN",
        "2_sdakd",
        "sdakd/table2.csv",
        r"^RealESRGAN, C = 1/4: SDAKD is better than naive \(C,C\)|^RealESRGAN.*better than",
    ),
    ("B", "Table 3: speed", "2_sdakd", "sdakd/table3.csv", "each halving"),
    ("B", "Table 4: ablation", "2_sdakd", "sdakd/table4.csv", " adds"),
    ("B", "Figure 2: DCD's discriminator", "2_sdakd", "sdakd/fig2.png", ""),
    ("B", "Figure 3: the student's discriminator", "2_sdakd", "sdakd/fig3.png", r"P\(fake\)"),
    ("B", "Figure 4: test images, GCFSR", "2_sdakd", "sdakd/fig4.png", ""),
    ("B", "The same, Real-ESRGAN", "2_sdakd", "sdakd/fig4-realesrgan.png", ""),
    ("B", "A photo by teacher and students", "2_sdakd", "sdakd/photo.png", ""),
    ("B", "Claims and verdicts", "2_sdakd", "sdakd/claims.csv", "."),
    (
        "C",
        "Main table: every method and rate",
        "3_nickel_dime",
        "nickel_dime/main.csv",
        "p = 0.9: NICKEL & DiME is better than CAGC|better than (?!DiME|NICKEL)",
    ),
    ("C", "What pruning alone does", "3_nickel_dime", "nickel_dime/pruning.png", ""),
    (
        "C",
        "Figure 3a: logits at a mild rate",
        "3_nickel_dime",
        "nickel_dime/fig3a.png",
        "^ITGC: logits",
    ),
    (
        "C",
        "Figure 3b: logits at an extreme rate",
        "3_nickel_dime",
        "nickel_dime/fig3b.png",
        "^NICKEL & DiME, D_",
    ),
    ("C", "Figure 3c: convergence", "3_nickel_dime", "nickel_dime/fig3c.png", ""),
    (
        "C",
        "Figure 4: against the rate",
        "3_nickel_dime",
        "nickel_dime/fig4.png",
        "gap to CAGC|collapses|recall|loses at most",
    ),
    ("C", "Figure 5: samples", "3_nickel_dime", "nickel_dime/fig5.png", ""),
    (
        "C",
        "Ablations",
        "3_nickel_dime",
        "nickel_dime/ablation.csv",
        "better than DiME, by|better than DiME|better than NICKEL",
    ),
    ("C", "Claims and verdicts", "3_nickel_dime", "nickel_dime/claims.csv", "."),
    ("all", "One GAN, compressed in minutes", "4_your_own_gan", "your_own_gan/cpu/table.csv", ""),
    ("all", "Every method on every family", "4_your_own_gan", "your_own_gan/matrix.csv", ""),
)


def kept(file: str) -> str:
    """Where the file of an item is under figures/."""
    paper, _, name = file.partition("/")
    return f"{paper}/{REFERENCE[paper]}/{name}" if paper in REFERENCE else file
