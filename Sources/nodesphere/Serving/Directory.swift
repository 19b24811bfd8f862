import RuleEngine
import Synchronization

/// Devices and profiles as they were last seen, and what is effective of them: a profile's defaults under the device's own configuration.
final class Directory: Sendable {
    private struct State {
        var devices: [String: DeviceRecord] = [:]
        var profiles: [String: ProfileRecord] = [:]
    }
    private let state = Mutex(State())

    /// Takes changes in; gives the devices that they concern, with what is effective now, nil for those that are gone.
    func apply(_ changes: [DirectoryChange]) -> [(id: String, device: DeviceRecord?, effective: Document)] {
        state.withLock { state in
            var concerned: [String] = []
            for change in changes {
                switch change {
                case .device(let id, let device):
                    guard state.devices[id] != device else { continue }
                    state.devices[id] = device
                    concerned.append(id)
                case .profile(let name, let profile):
                    guard state.profiles[name] != profile else { continue }
                    state.profiles[name] = profile
                    concerned += state.devices.values.filter { $0.profile == name }.map(\.id).sorted()
                }
            }
            var seen = Set<String>()
            return concerned.filter { seen.insert($0).inserted }.map { id in
                (id, state.devices[id], state.devices[id].map { Self.effective($0, state.profiles) } ?? .emptyObject)
            }
        }
    }

    /// A device with what is effective of it, for scripts.
    func device(_ id: String) -> ScriptWorld.Device? { state.withLock { state in state.devices[id].map { Self.seen($0, state.profiles) } } }

    /// In the order of their ids' bytes.
    func all() -> [ScriptWorld.Device] {
        state.withLock { state in
            state.devices.values.sorted { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) }.map { Self.seen($0, state.profiles) }
        }
    }

    private static func seen(_ device: DeviceRecord, _ profiles: [String: ProfileRecord]) -> ScriptWorld.Device {
        ScriptWorld.Device(id: device.id, config: effective(device, profiles), labels: device.labels)
    }

    private static func effective(_ device: DeviceRecord, _ profiles: [String: ProfileRecord]) -> Document {
        (device.profile.flatMap { profiles[$0]?.config } ?? .emptyObject).overlaid(by: device.config)
    }
}
