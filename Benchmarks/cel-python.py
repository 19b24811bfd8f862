#!/usr/bin/env python3
"""Times the expressions of CELBenchmark in the CEL libraries of Python, where they are installed: cel-expr-python (Google's C++
implementation) and common-expression-language (cel-rust). One JSON object a line, as CELBenchmark --json prints them.

   pip install cel-expr-python common-expression-language; Benchmarks/cel-python.py"""
import json, statistics, time

ITEMS = [{"price": 12.5 if n % 2 == 0 else 7.5, "name": f"b{n}"} for n in range(100)]
CASES = {
    "thresholds": ("temperature > 30.0 && humidity < 40.0", {"temperature": 31.5, "humidity": 35.0}, 1),
    "interned strings": ('(origin == "MOW" || country == "RU") && (value >= 100.0 || adults == 1.0)', {"origin": "LED", "country": "RU", "value": 50.0, "adults": 1.0}, 1),
    "arithmetic": ("temperature * 9.0 / 5.0 + 32.0 > 86.0", {"temperature": 31.5}, 1),
    "exists over 100 items": ('items.exists(i, i.price > 10.0 && i.name.startsWith("a"))', {"items": ITEMS}, 50),
}


def google():
    from cel_expr_python import cel
    def prepare(expression, data):
        environment = cel.NewEnv(variables={name: cel.Type.DYN for name in data})
        compiled = environment.compile(expression)
        activation = environment.Activation(data)
        return lambda: compiled.eval(activation)
    return prepare


def rust():
    import cel
    def prepare(expression, data):
        program, context = cel.compile(expression), cel.Context(data)
        return lambda: program.execute(context)
    return prepare


def main():
    for library, load in {"cel-expr-python": google, "common-expression-language": rust}.items():
        try:
            prepare = load()
        except ImportError:
            continue
        for name, (expression, data, weight) in CASES.items():
            evaluate = prepare(expression, data)
            turns, samples = 20_000 // weight, []
            for _ in range(11):
                start = time.perf_counter_ns()
                for _ in range(turns):
                    evaluate()
                samples.append((time.perf_counter_ns() - start) / turns)
            print(json.dumps({"benchmark": f"cel ({library})", "case": name, "metric": "ns_per_evaluation", "median": round(statistics.median(samples), 1),
                              "min": round(min(samples), 1), "max": round(max(samples), 1), "reference": None, "ratio": None}))


main()
