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
    ("B", "Table 1: GCFSR", "2_sdakd", "sdakd/table1.csv"),
    ("B", "Table 2: Real-ESRGAN", "2_sdakd", "sdakd/table2.csv"),
    ("B", "Table 3: speed", "2_sdakd", "sdakd/table3.csv"),
    ("B", "Table 4: ablation", "2_sdakd", "sdakd/table4.csv"),
    ("B", "Figure 2: DCD's discriminator", "2_sdakd", "sdakd/fig2.png"),
    ("B", "Figure 3: the student's discriminator", "2_sdakd", "sdakd/fig3.png"),
    ("B", "Figure 4: test images, GCFSR", "2_sdakd", "sdakd/fig4.png"),
    ("B", "The same, Real-ESRGAN", "2_sdakd", "sdakd/fig4-realesrgan.png"),
    ("B", "A photo by teacher and students", "2_sdakd", "sdakd/photo.png"),
    ("B", "Claims and verdicts", "2_sdakd", "sdakd/claims.csv"),
)
