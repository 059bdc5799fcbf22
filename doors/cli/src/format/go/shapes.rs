//! The structs that docker's client reads answers into, in the order of their fields.
//!
//! A field is `Name=Json:type`: the name in templates, the name in the document where it is another, and
//! the type where it is not text. Types: `bool`, `int`, `time`, `any`, `set` (an empty struct), `[]T`,
//! `{}T` (a map of texts to T), `*T`, or another struct of this table. `+T` is an embedded struct: its
//! fields are fields of the struct around it. Source: moby's `api/types` at version 28.2.

/// The structs by their Go names.
const SHAPES: &[(&str, &str)] = &[
    (
        "container.InspectResponse",
        "+container.ContainerJSONBase Mounts:[]container.MountPoint Config:*container.Config \
         NetworkSettings:*container.NetworkSettings ImageManifestDescriptor:*v1.Descriptor",
    ),
    (
        "container.ContainerJSONBase",
        "ID=Id Created Path Args:[]text State:*container.State Image ResolvConfPath HostnamePath HostsPath \
         LogPath Name RestartCount:int Driver Platform MountLabel ProcessLabel AppArmorProfile \
         ExecIDs:[]text HostConfig:*container.HostConfig GraphDriver:storage.DriverData SizeRw:*int \
         SizeRootFs:*int",
    ),
    (
        "container.State",
        "Status Running:bool Paused:bool Restarting:bool OOMKilled:bool Dead:bool Pid:int ExitCode:int \
         Error StartedAt FinishedAt Health:*container.Health",
    ),
    ("container.Health", "Status FailingStreak:int Log:[]*container.HealthcheckResult"),
    ("container.HealthcheckResult", "Start:time End:time ExitCode:int Output"),
    ("container.MountPoint", "Type Name Source Destination Driver Mode RW:bool Propagation"),
    (
        "container.HostConfig",
        "Binds:[]text ContainerIDFile LogConfig:container.LogConfig NetworkMode \
         PortBindings:{}[]nat.PortBinding RestartPolicy:container.RestartPolicy AutoRemove:bool \
         VolumeDriver VolumesFrom:[]text ConsoleSize:[]int Annotations:{}text CapAdd:[]text CapDrop:[]text \
         CgroupnsMode DNS=Dns:[]text DNSOptions=DnsOptions:[]text DNSSearch=DnsSearch:[]text \
         ExtraHosts:[]text GroupAdd:[]text IpcMode Cgroup Links:[]text OomScoreAdj:int PidMode \
         Privileged:bool PublishAllPorts:bool ReadonlyRootfs:bool SecurityOpt:[]text StorageOpt:{}text \
         Tmpfs:{}text UTSMode UsernsMode ShmSize:int Sysctls:{}text Runtime Isolation \
         +container.Resources Mounts:[]mount.Mount MaskedPaths:[]text ReadonlyPaths:[]text Init:*bool",
    ),
    (
        "container.Resources",
        "CPUShares=CpuShares:int Memory:int NanoCPUs=NanoCpus:int CgroupParent BlkioWeight:int \
         BlkioWeightDevice:[]*blkiodev.WeightDevice BlkioDeviceReadBps:[]*blkiodev.ThrottleDevice \
         BlkioDeviceWriteBps:[]*blkiodev.ThrottleDevice BlkioDeviceReadIOps:[]*blkiodev.ThrottleDevice \
         BlkioDeviceWriteIOps:[]*blkiodev.ThrottleDevice CPUPeriod=CpuPeriod:int CPUQuota=CpuQuota:int \
         CPURealtimePeriod=CpuRealtimePeriod:int CPURealtimeRuntime=CpuRealtimeRuntime:int CpusetCpus \
         CpusetMems Devices:[]container.DeviceMapping DeviceCgroupRules:[]text \
         DeviceRequests:[]container.DeviceRequest KernelMemory:int KernelMemoryTCP:int \
         MemoryReservation:int MemorySwap:int MemorySwappiness:*int OomKillDisable:*bool PidsLimit:*int \
         Ulimits:[]*units.Ulimit CPUCount=CpuCount:int CPUPercent=CpuPercent:int IOMaximumIOps:int \
         IOMaximumBandwidth:int",
    ),
    ("container.LogConfig", "Type Config:{}text"),
    ("container.RestartPolicy", "Name MaximumRetryCount:int"),
    ("container.DeviceMapping", "PathOnHost PathInContainer CgroupPermissions"),
    ("container.DeviceRequest", "Driver Count:int DeviceIDs:[]text Capabilities:[][]text Options:{}text"),
    ("units.Ulimit", "Name Hard:int Soft:int"),
    ("nat.PortBinding", "HostIP=HostIp HostPort"),
    ("blkiodev.WeightDevice", "Path Weight:int"),
    ("blkiodev.ThrottleDevice", "Path Rate:int"),
    (
        "mount.Mount",
        "Type Source Target ReadOnly:bool Consistency BindOptions:*mount.BindOptions \
         VolumeOptions:*mount.VolumeOptions ImageOptions:*mount.ImageOptions TmpfsOptions:*mount.TmpfsOptions \
         ClusterOptions:*set",
    ),
    (
        "mount.BindOptions",
        "Propagation NonRecursive:bool CreateMountpoint:bool ReadOnlyNonRecursive:bool \
         ReadOnlyForceRecursive:bool",
    ),
    ("mount.VolumeOptions", "NoCopy:bool Labels:{}text Subpath DriverConfig:*mount.Driver"),
    ("mount.Driver", "Name Options:{}text"),
    ("mount.ImageOptions", "Subpath"),
    ("mount.TmpfsOptions", "SizeBytes:int Mode:int Options:[][]text"),
    (
        "container.Config",
        "Hostname Domainname User AttachStdin:bool AttachStdout:bool AttachStderr:bool ExposedPorts:{}set \
         Tty:bool OpenStdin:bool StdinOnce:bool Env:[]text Cmd:[]text Healthcheck:*v1.HealthcheckConfig \
         ArgsEscaped:bool Image Volumes:{}set WorkingDir Entrypoint:[]text NetworkDisabled:bool MacAddress \
         OnBuild:[]text Labels:{}text StopSignal StopTimeout:*int Shell:[]text",
    ),
    (
        "v1.HealthcheckConfig",
        "Test:[]text Interval:duration Timeout:duration StartPeriod:duration StartInterval:duration \
         Retries:int",
    ),
    (
        "container.NetworkSettings",
        "+container.NetworkSettingsBase +container.DefaultNetworkSettings \
         Networks:{}*network.EndpointSettings",
    ),
    (
        "container.NetworkSettingsBase",
        "Bridge SandboxID SandboxKey Ports:{}[]nat.PortBinding HairpinMode:bool LinkLocalIPv6Address \
         LinkLocalIPv6PrefixLen:int SecondaryIPAddresses:[]network.Address \
         SecondaryIPv6Addresses:[]network.Address",
    ),
    ("network.Address", "Addr PrefixLen:int"),
    (
        "container.DefaultNetworkSettings",
        "EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen:int IPAddress IPPrefixLen:int IPv6Gateway \
         MacAddress",
    ),
    (
        "network.EndpointSettings",
        "IPAMConfig:*network.EndpointIPAMConfig Links:[]text Aliases:[]text MacAddress DriverOpts:{}text \
         GwPriority:int NetworkID EndpointID Gateway IPAddress IPPrefixLen:int IPv6Gateway \
         GlobalIPv6Address GlobalIPv6PrefixLen:int DNSNames:[]text",
    ),
    ("network.EndpointIPAMConfig", "IPv4Address IPv6Address LinkLocalIPs:[]text"),
    ("storage.DriverData", "Data:{}text Name"),
    (
        "v1.Descriptor",
        "MediaType=mediaType Digest=digest Size=size:int URLs=urls:[]text Annotations=annotations:{}text \
         Data=data:[]int Platform=platform:*v1.Platform ArtifactType=artifactType",
    ),
    (
        "v1.Platform",
        "Architecture=architecture OS=os OSVersion=os.version OSFeatures=os.features:[]text Variant=variant",
    ),
    (
        "image.InspectResponse",
        "ID=Id RepoTags:[]text RepoDigests:[]text Parent Comment Created Container \
         ContainerConfig:*container.Config DockerVersion Author Config:*v1.DockerOCIImageConfig Architecture \
         Variant Os OsVersion Size:int VirtualSize:int GraphDriver:storage.DriverData RootFS:image.RootFS \
         Metadata:image.Metadata Descriptor:*v1.Descriptor Manifests:[]any",
    ),
    ("image.RootFS", "Type Layers:[]text"),
    ("image.Metadata", "LastTagTime:time"),
    ("v1.DockerOCIImageConfig", "+v1.ImageConfig +v1.DockerOCIImageConfigExt"),
    (
        "v1.ImageConfig",
        "User ExposedPorts:{}set Env:[]text Entrypoint:[]text Cmd:[]text Volumes:{}set WorkingDir \
         Labels:{}text StopSignal ArgsEscaped:bool",
    ),
    ("v1.DockerOCIImageConfigExt", "Healthcheck:*v1.HealthcheckConfig OnBuild:[]text Shell:[]text"),
    (
        "network.Inspect",
        "Name ID=Id Created:time Scope Driver EnableIPv4:bool EnableIPv6:bool IPAM:network.IPAM \
         Internal:bool Attachable:bool Ingress:bool ConfigFrom:network.ConfigReference ConfigOnly:bool \
         Containers:{}network.EndpointResource Options:{}text Labels:{}text Peers:[]any Services:{}any",
    ),
    ("network.IPAM", "Driver Options:{}text Config:[]network.IPAMConfig"),
    ("network.IPAMConfig", "Subnet IPRange Gateway AuxAddress=AuxiliaryAddresses:{}text"),
    ("network.ConfigReference", "Network"),
    ("network.EndpointResource", "Name EndpointID MacAddress IPv4Address IPv6Address"),
    (
        "volume.Volume",
        "ClusterVolume:*set CreatedAt Driver Labels:{}text Mountpoint Name Options:{}text Scope Status:{}any \
         UsageData:*volume.UsageData",
    ),
    ("volume.UsageData", "RefCount:int Size:int"),
    ("system.versionInfo", "Client:system.clientVersion Server:*types.Version"),
    (
        "system.clientVersion",
        "Platform:*system.platformInfo Version APIVersion=ApiVersion DefaultAPIVersion GitCommit GoVersion \
         Os Arch BuildTime Context",
    ),
    ("system.platformInfo", "Name"),
    (
        "types.Version",
        "Platform:system.platformInfo Components:[]types.ComponentVersion Version APIVersion=ApiVersion \
         MinAPIVersion GitCommit GoVersion Os Arch KernelVersion Experimental:bool BuildTime",
    ),
    ("types.ComponentVersion", "Name Version Details:{}text"),
    (
        "system.dockerInfo",
        "+system.Info ServerErrors:[]text UserName ClientInfo:*system.clientInfo ClientErrors:[]text",
    ),
    ("system.clientOnly", "ClientInfo:*system.clientInfo ClientErrors:[]text"),
    ("system.clientInfo", "Debug:bool +system.clientVersion Plugins:[]any Warnings:[]text"),
    (
        "system.Info",
        "ID Containers:int ContainersRunning:int ContainersPaused:int ContainersStopped:int Images:int \
         Driver DriverStatus:[][]text SystemStatus:[][]text Plugins:system.PluginsInfo MemoryLimit:bool \
         SwapLimit:bool KernelMemory:bool KernelMemoryTCP:bool CPUCfsPeriod=CpuCfsPeriod:bool \
         CPUCfsQuota=CpuCfsQuota:bool CPUShares:bool CPUSet:bool PidsLimit:bool IPv4Forwarding:bool \
         Debug:bool NFd:int OomKillDisable:bool NGoroutines:int SystemTime LoggingDriver CgroupDriver \
         CgroupVersion NEventsListener:int KernelVersion OperatingSystem OSVersion OSType Architecture \
         IndexServerAddress RegistryConfig:*registry.ServiceConfig NCPU:int MemTotal:int \
         GenericResources:[]any DockerRootDir HTTPProxy=HttpProxy HTTPSProxy=HttpsProxy NoProxy Name \
         Labels:[]text ExperimentalBuild:bool ServerVersion Runtimes:{}system.RuntimeWithStatus \
         DefaultRuntime Swarm:swarm.Info LiveRestoreEnabled:bool Isolation InitBinary \
         ContainerdCommit:system.Commit RuncCommit:system.Commit InitCommit:system.Commit \
         SecurityOptions:[]text ProductLicense DefaultAddressPools:[]system.NetworkAddressPool \
         FirewallBackend:*system.FirewallInfo CDISpecDirs:[]text DiscoveredDevices:[]system.DeviceInfo \
         Containerd:*system.ContainerdInfo Warnings:[]text",
    ),
    ("system.PluginsInfo", "Volume:[]text Network:[]text Authorization:[]text Log:[]text"),
    ("system.RuntimeWithStatus", "+system.Runtime Status=status:{}text"),
    ("system.Runtime", "Path=path Args=runtimeArgs:[]text Type=runtimeType Options=options:{}any"),
    ("system.Commit", "ID Expected"),
    ("system.NetworkAddressPool", "Base Size:int"),
    ("system.FirewallInfo", "Driver Info:[][]text"),
    ("system.DeviceInfo", "Source ID"),
    ("system.ContainerdInfo", "Address Namespaces:system.ContainerdNamespaces"),
    ("system.ContainerdNamespaces", "Containers Plugins"),
    (
        "registry.ServiceConfig",
        "AllowNondistributableArtifactsCIDRs:[]text AllowNondistributableArtifactsHostnames:[]text \
         InsecureRegistryCIDRs:[]text IndexConfigs:{}*registry.IndexInfo Mirrors:[]text ExtraFields:{}any",
    ),
    ("registry.IndexInfo", "Name Mirrors:[]text Secure:bool Official:bool"),
    (
        "swarm.Info",
        "NodeID NodeAddr LocalNodeState ControlAvailable:bool Error RemoteManagers:[]any Nodes:int \
         Managers:int Cluster:*set Warnings:[]text",
    ),
    (
        "events.Message",
        "Status=status ID=id From=from Type Action Actor:events.Actor Scope=scope Time=time:int \
         TimeNano=timeNano:int",
    ),
    ("context.contextWithTLSListing", "+store.Metadata TLSMaterial:{}[]text Storage:store.StorageInfo"),
    ("store.Metadata", "Name Metadata:command.DockerContext Endpoints:{}docker.EndpointMeta"),
    ("command.DockerContext", "Description AdditionalFields:{}any"),
    ("docker.EndpointMeta", "Host SkipTLSVerify:bool"),
    ("store.StorageInfo", "MetadataPath TLSPath"),
    ("events.Actor", "ID Attributes:{}text"),
    (
        "formatter.diskUsageContext",
        "Images:[]*formatter.imageContext Containers:[]*formatter.containerContext \
         Volumes:[]*formatter.volumeContext BuildCache:[]*formatter.buildCacheContext",
    ),
    (
        "formatter.imageContext",
        "Containers CreatedAt CreatedSince Digest ID Repository SharedSize Size Tag UniqueSize VirtualSize",
    ),
    (
        "formatter.containerContext",
        "Command CreatedAt ID Image Labels LocalVolumes Mounts Names Networks Platform:any Ports RunningFor Size \
         State Status",
    ),
    ("formatter.volumeContext", "Availability Driver Group Labels Links Mountpoint Name Scope Size Status"),
    (
        "formatter.buildCacheContext",
        "CacheType CreatedAt CreatedSince Description ID InUse LastUsedAt LastUsedSince Parent Shared Size \
         UsageCount",
    ),
];

/// A field of a struct, or a struct embedded in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    Field { name: &'static str, json: &'static str, of: &'static str },
    Embedded(&'static str),
}

/// The members of a struct, in order; `None` for what is no struct of the table.
pub(crate) fn members(shape: &str) -> Option<impl Iterator<Item = Member> + use<>> {
    let (_, fields) = SHAPES.iter().find(|(name, _)| *name == shape)?;
    Some(fields.split_whitespace().map(member))
}

fn member(word: &'static str) -> Member {
    if let Some(embedded) = word.strip_prefix('+') {
        return Member::Embedded(embedded);
    }
    let (names, of) = word.split_once(':').unwrap_or((word, "text"));
    let (name, json) = names.split_once('=').unwrap_or((names, names));
    Member::Field { name, json, of }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_listed() {
        for (shape, _) in SHAPES {
            for member in members(shape).unwrap() {
                let mut of = match member {
                    Member::Embedded(of) | Member::Field { of, .. } => of,
                };
                while let Some(rest) = ["[]", "{}", "*"].iter().find_map(|prefix| of.strip_prefix(prefix)) {
                    of = rest;
                }
                let basic = ["text", "bool", "int", "time", "duration", "any", "set"].contains(&of);
                assert!(basic || members(of).is_some(), "{of} in {shape}");
            }
        }
    }
}
