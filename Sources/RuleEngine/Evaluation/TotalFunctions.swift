import CEL

extension Environment {
    /// `[1, 2].sum()`, `avg()`, `stddev()`: of numbers, as the windows of these names compute them. Of nothing the sum is 0, and the others have no result.
    mutating func addTotals() {
        add(
            Function("sum", .member, [.list(.dyn)], .double) { (arguments) throws(FunctionFailure) in
                .double(try numbers(arguments, "sum").total)
            })
        add(
            Function("avg", .member, [.list(.dyn)], .double) { (arguments) throws(FunctionFailure) in
                .double(try numbers(arguments, "avg", atLeast: 1).mean)
            })
        add(
            Function("stddev", .member, [.list(.dyn)], .double) { (arguments) throws(FunctionFailure) in
                let numbers = try numbers(arguments, "stddev", atLeast: 1)
                let mean = numbers.mean
                return .double(numbers.map { ($0 - mean) * ($0 - mean) }.mean.squareRoot())
            })
    }
}

private func numbers(_ arguments: [Value], _ name: String, atLeast count: Int = 0) throws(FunctionFailure) -> [Double] {
    guard case .list(let elements) = arguments[0] else { throw FunctionFailure("'\(name)' takes a list of numbers") }
    guard elements.count >= count else { throw FunctionFailure("'\(name)' of nothing", isMissing: true) }
    var numbers: [Double] = []
    numbers.reserveCapacity(elements.count)
    for element in elements {
        switch element {
        case .double(let number): numbers.append(number)
        case .int(let number): numbers.append(Double(number))
        case .uint(let number): numbers.append(Double(number))
        default: throw FunctionFailure("'\(name)' takes a list of numbers")
        }
    }
    return numbers
}

extension [Double] {
    fileprivate var total: Double { reduce(0, +) }
    fileprivate var mean: Double { total / Double(count) }
}
