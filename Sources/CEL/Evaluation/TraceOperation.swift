/// Writes down what the operation under it came to.
final class TraceOperation: Operation, @unchecked Sendable {
    let operation: Operation

    init(_ operation: Operation, span: Span) {
        self.operation = operation
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        do throws(Fault) {
            let value = try operation.value(&frame)
            frame.trace?.takeUnretainedValue().record(span, .success(value))
            return value
        } catch {
            frame.trace?.takeUnretainedValue().record(span, .failure(error))
            throw error
        }
    }

    override var operands: [Operation] { [operation] }
    override var isInRecord: Bool { operation.isInRecord }
    override func decidingComparison(_ frame: inout Frame) -> DecidingComparison? { operation.decidingComparison(&frame) }
}

/// Collects what the parts of an expression came to, one step a place in the source.
final class Trace {
    private(set) var steps: [(span: Span, result: Result<Value, Fault>, count: Int)] = []
    private var positions: [Span: Int] = [:]

    func record(_ span: Span, _ result: Result<Value, Fault>) {
        if let position = positions[span] {
            steps[position].result = result
            steps[position].count += 1
        } else {
            positions[span] = steps.count
            steps.append((span, result, 1))
        }
    }
}
