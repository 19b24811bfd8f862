/// The math extension.
enum MathFunctions {
    static let all: [StandardFunction] =
        [
            rounding("math.ceil") { $0.rounded(.up) }, rounding("math.floor") { $0.rounded(.down) },
            rounding("math.round") { $0.rounded(.toNearestOrAwayFromZero) }, rounding("math.trunc") { $0.rounded(.towardZero) },
            test("math.isNaN") { $0.isNaN }, test("math.isInf") { $0.isInfinite }, test("math.isFinite") { $0.isFinite }, abs, sign, sqrt,
            bits("math.bitAnd", { $0 & $1 }, { $0 & $1 }), bits("math.bitOr", { $0 | $1 }, { $0 | $1 }),
            bits("math.bitXor", { $0 ^ $1 }, { $0 ^ $1 }), bitNot, shift("math.bitShiftLeft") { $0 << $1 },
            shift("math.bitShiftRight") { $0 >> $1 },
        ]

    private static func rounding(_ name: String, _ round: @escaping @Sendable (Double) -> Double) -> StandardFunction {
        StandardFunction(
            name, .global, [.of(.double, to: .double)],
            .unary { (value, _, span) throws(Fault) in
                guard case .double(let number) = value else { throw Fault(noOverload: name, [value.kind], span) }
                return .double(round(number))
            })
    }

    private static func test(_ name: String, _ test: @escaping @Sendable (Double) -> Bool) -> StandardFunction {
        StandardFunction(
            name, .global, [.of(.double, to: .bool)],
            .unary { (value, _, span) throws(Fault) in
                guard case .double(let number) = value else { throw Fault(noOverload: name, [value.kind], span) }
                return .bool(test(number))
            })
    }

    private static let numeric: [StandardFunction.Signature] = [.of(.int, to: .int), .of(.uint, to: .uint), .of(.double, to: .double)]

    static let abs = StandardFunction(
        "math.abs", .global, numeric,
        .unary { (value, _, span) throws(Fault) in
            switch value {
            case .int(let number):
                guard number != .min else { throw Fault(.overflow, span, "integer overflow") }
                return .int(number.magnitude > Int64.max ? 0 : Swift.abs(number))
            case .uint: return value
            case .double(let number): return .double(number.magnitude)
            default: throw Fault(noOverload: "math.abs", [value.kind], span)
            }
        })

    static let sign = StandardFunction(
        "math.sign", .global, numeric,
        .unary { (value, _, span) throws(Fault) in
            switch value {
            case .int(let number): return .int(number.signum())
            case .uint(let number): return .uint(number.signum())
            case .double(let number): return number.isNaN ? value : .double(number > 0 ? 1 : number < 0 ? -1 : 0)
            default: throw Fault(noOverload: "math.sign", [value.kind], span)
            }
        })

    static let sqrt = StandardFunction(
        "math.sqrt", .global, [.of(.int, to: .double), .of(.uint, to: .double), .of(.double, to: .double)],
        .unary { (value, _, span) throws(Fault) in
            switch value {
            case .int(let number): return .double(Double(number).squareRoot())
            case .uint(let number): return .double(Double(number).squareRoot())
            case .double(let number): return .double(number.squareRoot())
            default: throw Fault(noOverload: "math.sqrt", [value.kind], span)
            }
        })

    // MARK: bits

    private static func bits(
        _ name: String, _ int: @escaping @Sendable (Int64, Int64) -> Int64, _ uint: @escaping @Sendable (UInt64, UInt64) -> UInt64
    ) -> StandardFunction {
        StandardFunction(
            name, .global, [.of(.int, .int, to: .int), .of(.uint, .uint, to: .uint)],
            .binary { (a, b, _, span) throws(Fault) in
                switch (a, b) {
                case (.int(let a), .int(let b)): return .int(int(a, b))
                case (.uint(let a), .uint(let b)): return .uint(uint(a, b))
                default: throw Fault(noOverload: name, [a.kind, b.kind], span)
                }
            })
    }

    static let bitNot = StandardFunction(
        "math.bitNot", .global, [.of(.int, to: .int), .of(.uint, to: .uint)],
        .unary { (value, _, span) throws(Fault) in
            switch value {
            case .int(let number): return .int(~number)
            case .uint(let number): return .uint(~number)
            default: throw Fault(noOverload: "math.bitNot", [value.kind], span)
            }
        })

    /// Shifts the 64 bits, zeros coming in, whatever the sign: 64 and more give 0.
    private static func shift(_ name: String, _ shift: @escaping @Sendable (UInt64, UInt64) -> UInt64) -> StandardFunction {
        StandardFunction(
            name, .global, [.of(.int, .int, to: .int), .of(.uint, .int, to: .uint)],
            .binary { (value, count, _, span) throws(Fault) in
                guard case .int(let count) = count else { throw Fault(noOverload: name, [value.kind, count.kind], span) }
                guard count >= 0 else { throw Fault(.badArgument, span, "a shift cannot be negative") }
                switch value {
                case .int(let number): return .int(count >= 64 ? 0 : Int64(bitPattern: shift(UInt64(bitPattern: number), UInt64(count))))
                case .uint(let number): return .uint(count >= 64 ? 0 : shift(number, UInt64(count)))
                default: throw Fault(noOverload: name, [value.kind, .int], span)
                }
            })
    }

    // MARK: greatest and least

    /// The first of the greatest (or least) of numbers of any types, or of one list of them.
    static func extreme(_ name: String, isGreatest: Bool) -> @Sendable ([Value], inout Frame, Span) throws(Fault) -> Value {
        { (values, frame, span) throws(Fault) in
            var numbers = values
            if values.count == 1, case .list(let elements) = values[0] {
                numbers = elements
                try frame.charge(elements.count, span)
            }
            guard var best = numbers.first else { throw Fault(.badArgument, span, "\(name) of an empty list") }
            for number in numbers {
                guard number.isNumber else { throw Fault(noOverload: name, [number.kind], span) }
                switch number.order(to: best) {
                case .greater where isGreatest: best = number
                case .less where !isGreatest: best = number
                default: break
                }
            }
            return best
        }
    }
}

extension Expression.Node {
    /// A literal, or a list of literals.
    fileprivate var isLiteral: Bool {
        switch kind {
        case .literal: true
        case .list(let elements): elements.allSatisfy { $0.node.isLiteral }
        default: false
        }
    }
}

extension Compiler {
    /// `math.greatest(…)` and `math.least(…)` take any number of arguments; nil when the call is neither.
    mutating func compileExtreme(_ call: Expression.Call, _ node: Expression.Node) -> Compiled? {
        guard let receiver = call.receiver, isNamespace(receiver, "math"), call.name == "greatest" || call.name == "least" else {
            return nil
        }
        let name = "math." + call.name
        guard !call.arguments.isEmpty else {
            report(node.span, "bad-macro", "'\(name)' needs at least one number")
            return fault(.badArgument, "'\(name)' needs at least one number", node.span)
        }
        var type: CELType?
        let arguments = call.arguments.map { argument in
            let compiled = compile(argument)
            var number = compiled.type
            if call.arguments.count == 1, case .list(let element) = number { number = element }
            if number != .dyn, !number.isNumber {
                let message = "'\(name)' takes numbers, and this is \(compiled.type.withArticle)"
                // A literal is refused whatever the environment says of types: no evaluation could make it a number.
                if argument.isLiteral { report(argument.span, "bad-macro", message) } else { mismatch(argument.span, message) }
            }
            type = type.map { $0.joined(with: number) } ?? number
            return compiled.operation
        }
        let body = MathFunctions.extreme(name, isGreatest: call.name == "greatest")
        return Compiled(
            operation: CallOperation(arguments, body, span: place(node.span)), type: type ?? .dyn, whyNoBool: whyNoBool(name))
    }
}
