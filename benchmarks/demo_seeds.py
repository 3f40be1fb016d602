"""The demo's outcome for training seeds 0 to 9: python benchmarks/demo_seeds.py [seeds]."""

import sys
import tempfile
from pathlib import Path

from flows.terminal.environment import quieten


def main(seeds: int) -> None:
    quieten()
    from flows.demo.story import demo

    rows = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
            for recipe, result in demo(Path(folder), seed):
                metrics = {k: m for e in result.evidence for k, m in e.named_estimates.items()}
                fill = metrics["progressive_fill/accuracy"]
                rows.append(
                    f"| {seed} | {recipe.title} | {metrics['performance/accuracy'].value:.3f} "
                    f"| {metrics['performance/f1_macro'].value:.3f} "
                    f"| {fill.value:.3f} [{fill.low:.3f}, {fill.high:.3f}] "
                    f"| {metrics['progressive_fill/accuracy_null'].value:.3f} "
                    f"| {metrics['progressive_fill/agreement'].value:.3f} "
                    f"| {metrics['random_fill/prototype_accuracy'].value:.3f} "
                    f"| {result.verdict.word} |"
                )
    print(
        "| seed | training | accuracy | macro F1 | consistency | null | agreement | prototypes "
        "| verdict |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
