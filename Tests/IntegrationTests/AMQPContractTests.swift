import TestSupport
import Testing

extension AMQPTests {
    @Test(arguments: SchedulerContract.clauses)
    func `the scheduler over RabbitMQ keeps the port's contract`(_ clause: SchedulerClause) async throws {
        try await AMQPBench.with { try await clause.check($0.contractBench) }
    }
}
