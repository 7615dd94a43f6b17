"""What each paper trains and measures: its plan of units, and the work of one unit."""

# Every table and figure: paper, item, notebook, and the file of it under figures/.
ITEMS = (
    ("A", "Table 1: students and regular GANs", "1_dcgan_kd", "dcgan_kd/table1.csv"),
    ("A", "Figure 2: choice of the teacher", "1_dcgan_kd", "dcgan_kd/fig2.png"),
    ("A", "Figure 3: training with the MSE loss", "1_dcgan_kd", "dcgan_kd/fig3.png"),
    ("A", "Figure 4: training with the joint loss", "1_dcgan_kd", "dcgan_kd/fig4.png"),
    ("A", "Samples over d", "1_dcgan_kd", "dcgan_kd/samples.png"),
    ("A", "Metric against d", "1_dcgan_kd", "dcgan_kd/metric-against-d.png"),
    ("A", "Latent interpolation", "1_dcgan_kd", "dcgan_kd/interpolation.png"),
    ("A", "Figure 11: artefacts of compression", "1_dcgan_kd", "dcgan_kd/fig11.png"),
    ("A", "Logits of the discriminator", "1_dcgan_kd", "dcgan_kd/logits.png"),
    ("A", "Claims and verdicts", "1_dcgan_kd", "dcgan_kd/claims.csv"),
)
