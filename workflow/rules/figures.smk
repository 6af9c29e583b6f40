# Figures are drawn from tables only.
rule fig2:
    input:
        table=f"{RESULTS}/training.csv",
        config=f"{RESULTS}/config.json",
    output:
        f"{FIGURES}/fig2.pdf",
        f"{FIGURES}/fig2.png",
    message:
        "drawing Fig. 2"
    script:
        "../scripts/fig2.py"
