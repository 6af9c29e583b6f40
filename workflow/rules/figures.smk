# Figures are drawn from tables only.
rule figure:
    input:
        table=f"{RESULTS}/training.csv",
        config=f"{RESULTS}/config.json",
    output:
        f"{FIGURES}/{{figure}}.pdf",
        f"{FIGURES}/{{figure}}.png",
    message:
        "drawing {wildcards.figure}"
    script:
        "../scripts/figure.py"
