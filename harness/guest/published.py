"""Published vectors of algorithms that the host cannot compute, and where they are from.

Most are collected in the kernel's own crypto/testmgr.h, against which a kernel tests itself
if it is configured to; here they come in through a socket.
"""

from __future__ import annotations

from typing import Final

Vector = dict[str, str | int]

#: By section and name as in harness/guest/oracle.py; ``text`` is the message in hex.
PUBLISHED: Final[dict[str, dict[str, list[Vector]]]] = {
    "hash": {
        # RFC 1320, A.5.
        "md4": [
            {
                "text": "",
                "output": "31d6cfe0d16ae931b73c59d7e0c089c0",
            },
            {
                "text": "616263",
                "output": "a448017aaf21d8525fc10ae87aa6729d",
            },
            {
                "text": (
                    "3132333435363738393031323334353637383930313233343536373839303132"
                    "3334353637383930313233343536373839303132333435363738393031323334"
                    "35363738393031323334353637383930"
                ),
                "output": "e33b4ddc9c38f2199c3e7b164fcc0536",
            },
        ],
        # RIPEMD-160, Dobbertin, Bosselaers and Preneel.
        "rmd160": [
            {
                "text": "",
                "output": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
            },
            {
                "text": "616263",
                "output": "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc",
            },
            {
                "text": (
                    "3132333435363738393031323334353637383930313233343536373839303132"
                    "3334353637383930313233343536373839303132333435363738393031323334"
                    "35363738393031323334353637383930"
                ),
                "output": "9b752e45573d4b39f4dbd3323cab82bf63326bfb",
            },
        ],
        # ISO/IEC 10118-3, the first 256 bits.
        "wp256": [
            {
                "text": "",
                "output": "19fa61d75522a4669b44e39c1d2e1726c530232130d407f89afee0964997f7a7",
            },
            {
                "text": "616263",
                "output": "4e2448a4c6f486bb16b6562c73b4020bf3043e3a731bce721ae1b303d97e6d4c",
            },
        ],
        "wp384": [
            {
                "text": "",
                "output": (
                    "19fa61d75522a4669b44e39c1d2e1726c530232130d407f89afee0964997f7a7"
                    "3e83be698b288febcf88e3e03c4f0757"
                ),
            },
            {
                "text": "616263",
                "output": (
                    "4e2448a4c6f486bb16b6562c73b4020bf3043e3a731bce721ae1b303d97e6d4c"
                    "7181eebdb6c57e277d0e34957114cbd6"
                ),
            },
        ],
        "wp512": [
            {
                "text": "",
                "output": (
                    "19fa61d75522a4669b44e39c1d2e1726c530232130d407f89afee0964997f7a7"
                    "3e83be698b288febcf88e3e03c4f0757ea8964e59b63d93708b138cc42a66eb3"
                ),
            },
            {
                "text": "616263",
                "output": (
                    "4e2448a4c6f486bb16b6562c73b4020bf3043e3a731bce721ae1b303d97e6d4c"
                    "7181eebdb6c57e277d0e34957114cbd6c797fc9d95d8b582d225292076d4eef5"
                ),
            },
        ],
        # GOST R 34.11-2012, RFC 6986 section 10.
        "streebog256": [
            {
                "text": (
                    "3031323334353637383930313233343536373839303132333435363738393031"
                    "32333435363738393031323334353637383930313233343536373839303132"
                ),
                "output": "9d151eefd8590b89daa6ba6cb74af9275dd051026bb149a452fd84e5e57b5500",
            },
            {
                "text": (
                    "d1e520e2e5f2f0e82c20d1f2f0e8e1eee6e820e2edf3f6e82c20e2e5fef2fa20"
                    "f120eceef0ff20f1f2f0e5ebe0ece820ede020f5f0e0e1f0fbff20efebfaeafb"
                    "20c8e3eef0e5e2fb"
                ),
                "output": "9dd2fe4e90409e5da87f53976d7405b0c0cac628fc669a741d50063c557e8f50",
            },
        ],
        "streebog512": [
            {
                "text": (
                    "3031323334353637383930313233343536373839303132333435363738393031"
                    "32333435363738393031323334353637383930313233343536373839303132"
                ),
                "output": (
                    "1b54d01a4af5b9d5cc3d86d68d285462b19abc2475222f35c085122be4ba1ffa"
                    "00ad30f8767b3a82384c6574f024c311e2a481332b08ef7f41797891c1646f48"
                ),
            },
            {
                "text": (
                    "d1e520e2e5f2f0e82c20d1f2f0e8e1eee6e820e2edf3f6e82c20e2e5fef2fa20"
                    "f120eceef0ff20f1f2f0e5ebe0ece820ede020f5f0e0e1f0fbff20efebfaeafb"
                    "20c8e3eef0e5e2fb"
                ),
                "output": (
                    "1e88e62226bfca6f9994f1f2d51569e0daf8475a3b0fe61a5300eee46d961376"
                    "035fe83549ada2b8620fcd7c496ce5b33f0cb9dddc2b6460143b03dabac9fb28"
                ),
            },
        ],
        # the xxHash project.
        "xxhash64": [
            {
                "text": "",
                "output": "99e9d85137db46ef",
            },
            {
                "text": "40",
                "output": "205c91aa88eb59d0",
            },
            {
                "text": "408bb841e442152d88c79a091a9b",
                "output": "a8e82ba992a1374a",
            },
        ],
    },
    "keyed_hash": {
        # IEEE 802.11, annex M.6.4.
        "michael_mic": [
            {
                "text": "",
                "key": "0000000000000000",
                "output": "82925c1ca1d130b8",
            },
            {
                "text": "4d",
                "key": "82925c1ca1d130b8",
                "output": "434721ca40639b3f",
            },
            {
                "text": "4d69",
                "key": "434721ca40639b3f",
                "output": "e8f9becae97e5d29",
            },
        ],
        # draft-krovetz-vmac-01; the nonce comes before the message.
        "vmac64(aes)": [
            {
                "text": "00000000000000006263646566676869",
                "key": "6162636465666768696a6b6c6d6e6f70",
                "output": "2576be1c56d8b81b",
            },
            {
                "text": "00000000000000006263646566676869616263",
                "key": "6162636465666768696a6b6c6d6e6f70",
                "output": "2d376cf5b1813ce5",
            },
            {
                "text": (
                    "0000000000000000626364656667686961626361626361626361626361626361"
                    "6263616263616263616263616263616263616263616263616263616263616263"
                ),
                "key": "6162636465666768696a6b6c6d6e6f70",
                "output": "e8421f61d573d298",
            },
        ],
    },
    "skcipher": {
        # NESSIE.
        "ecb(serpent)": [
            {
                "text": "000102030405060708090a0b0c0d0e0f",
                "key": "000102030405060708090a0b0c0d0e0f",
                "output": "4c7d8a328072a22c823e4a1f3acda16d",
            },
            {
                "text": "000102030405060708090a0b0c0d0e0f",
                "key": "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "output": "de269ff833e432b85b2e88d2701ce75c",
            },
            {
                "text": "00000000000000000000000000000000",
                "key": "00000000000000000000000000000080",
                "output": "ddd26b98a5ffd82c05345a9dadbfaf49",
            },
        ],
        # the Twofish paper.
        "ecb(twofish)": [
            {
                "text": "00000000000000000000000000000000",
                "key": "00000000000000000000000000000000",
                "output": "9f589f5cf6122c32b6bfec2f2ae8c35a",
            },
            {
                "text": "00000000000000000000000000000000",
                "key": "0123456789abcdeffedcba98765432100011223344556677",
                "output": "cfd1d2e5a9be9cdf501f13b892bd2248",
            },
            {
                "text": "00000000000000000000000000000000",
                "key": "0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff",
                "output": "37527be0052334b89f0cfccae87cfa20",
            },
        ],
        # RFC 2612, appendix A.
        "ecb(cast6)": [
            {
                "text": "00000000000000000000000000000000",
                "key": "2342bb9efa38542c0af75647f29f615d",
                "output": "c842a08972b43d20836c91d1b7530f6b",
            },
            {
                "text": "00000000000000000000000000000000",
                "key": "2342bb9efa38542cbed0ac83940ac298bac77a7717942863",
                "output": "1b386c0210dcadcbdd0e41aa08a7a7e8",
            },
            {
                "text": "00000000000000000000000000000000",
                "key": "2342bb9efa38542cbed0ac83940ac2988d7c47ce264908461cc1b5137ae6b604",
                "output": "4f6a2038286897b9c9870136553317fa",
            },
        ],
        # IEEE 1619 vectors 1 to 3 with another cipher.
        "xts(serpent)": [
            {
                "text": "0000000000000000000000000000000000000000000000000000000000000000",
                "key": "0000000000000000000000000000000000000000000000000000000000000000",
                "iv": "00000000000000000000000000000000",
                "output": "e108b81d2cf53364c81204c7b370e8c46a31c5f300cab916dee27766f7fe6208",
            },
            {
                "text": "4444444444444444444444444444444444444444444444444444444444444444",
                "key": "1111111111111111111111111111111122222222222222222222222222222222",
                "iv": "33333333330000000000000000000000",
                "output": "1a0a095fcd070798418612afb3d76813ed81cd0687431abb133dd61e2be177be",
            },
            {
                "text": "4444444444444444444444444444444444444444444444444444444444444444",
                "key": "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f022222222222222222222222222222222",
                "iv": "33333333330000000000000000000000",
                "output": "f99b28b85caf8c61b61c818f2c8760890d8d7ae86048cc86c16845aa00e924c5",
            },
        ],
        "xts(twofish)": [
            {
                "text": "0000000000000000000000000000000000000000000000000000000000000000",
                "key": "0000000000000000000000000000000000000000000000000000000000000000",
                "iv": "00000000000000000000000000000000",
                "output": "4bc9444a11a3efac3074e44452779743a760b2452ef900909faafd896e9d4ae0",
            },
            {
                "text": "4444444444444444444444444444444444444444444444444444444444444444",
                "key": "1111111111111111111111111111111122222222222222222222222222222222",
                "iv": "33333333330000000000000000000000",
                "output": "570e8fe52a35614f32d3bd360515442c5806f7f800a8b6d5c62892dbd834a2e9",
            },
            {
                "text": "4444444444444444444444444444444444444444444444444444444444444444",
                "key": "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f022222222222222222222222222222222",
                "iv": "33333333330000000000000000000000",
                "output": "96458f8d7a75b1de400c8956f64da70738bb5be9cd84aeb27b6a62f48cb537ea",
            },
        ],
        # IEEE P1619 draft with another cipher.
        "lrw(serpent)": [
            {
                "text": "30313233343536373839414243444546",
                "key": "4562ac25f828176d4c268414b5680185258e2a05e73e9d03ee5a830ccc094c87",
                "iv": "00000000000000000000000000000001",
                "output": "6fbfd4a45d711679639ca68e40be0d8a",
            },
            {
                "text": "30313233343536373839414243444546",
                "key": "d82a9134b26a565030fe69e2377f9847cdf90b160c648fb6b00d0d1bae85871f",
                "iv": "00000000000000000000000200000000",
                "output": "145e3d70c06e9c345b5ecf0fe48c215c",
            },
            {
                "text": "30313233343536373839414243444546",
                "key": (
                    "0f6aeff8d3d2bb152583f73c1f012874cac6bc354d4a655490ae61cf7baebdcc"
                    "ade494c54a29ae70"
                ),
                "iv": "00000000000000000000000000000001",
                "output": "2539aaa5f065c8dc5d4595308fff2f1b",
            },
        ],
        "lrw(twofish)": [
            {
                "text": "30313233343536373839414243444546",
                "key": "4562ac25f828176d4c268414b5680185258e2a05e73e9d03ee5a830ccc094c87",
                "iv": "00000000000000000000000000000001",
                "output": "a16c506926a4ef7b7cc691eb72dd9bee",
            },
            {
                "text": "30313233343536373839414243444546",
                "key": "d82a9134b26a565030fe69e2377f9847cdf90b160c648fb6b00d0d1bae85871f",
                "iv": "00000000000000000000000200000000",
                "output": "85a7566708fa42e122e682fcd9b4d7d4",
            },
            {
                "text": "30313233343536373839414243444546",
                "key": (
                    "0f6aeff8d3d2bb152583f73c1f012874cac6bc354d4a655490ae61cf7baebdcc"
                    "ade494c54a29ae70"
                ),
                "iv": "00000000000000000000000000000001",
                "output": "d2af6935241d0e1c848b05e4a22f16f5",
            },
        ],
        # XSalsa20 messages of libsodium; the IV is a nonce and a counter.
        "xchacha12": [
            {
                "text": "0000000000000000000000000000000000000000000000000000000000",
                "key": "79c99798ac67300bbb2704c95c341e3245f3dcb21761b98e52ff45b24f304fc4",
                "iv": "b33ffd3096479bcfbc9aee49417688a0a2554f8d953894190000000000000000",
                "output": "1b787fd7a14168ab3d3fd17b6956b2d543ceebaf36f0299d3afb18ae1b",
            },
            {
                "text": (
                    "0000000000000000000000000000000000000000000000000000000000000000"
                    "0000000000000000000000000000000000000000000000000000000000000000"
                    "000000000000000000000000000000000000000000000000000000"
                ),
                "key": "9d23bd4149cb979ccf3c5c94dd217e9808cb0e50cd0f67812235eaaf601d6232",
                "iv": "c047548266b7c370d33566a2425cbf30d82d1eaf5294109e0000000000000000",
                "output": (
                    "fb32091d8305ae4c131f1271f2cab2eb5b83147d83f657772e401f922cf9ec35"
                    "341f93dffb30d735030578c1203b7ae362a389dc111145a88289a0f14ec70f11"
                    "69dd0c842b895cdcf0de01efc56579238767d650d98dd992545b0e"
                ),
            },
        ],
        "xchacha20": [
            {
                "text": "0000000000000000000000000000000000000000000000000000000000",
                "key": "79c99798ac67300bbb2704c95c341e3245f3dcb21761b98e52ff45b24f304fc4",
                "iv": "b33ffd3096479bcfbc9aee49417688a0a2554f8d953894190000000000000000",
                "output": "c6e9758160083ac604ef90e712ce6e75d7797590744e0cf060f013739c",
            },
            {
                "text": (
                    "0000000000000000000000000000000000000000000000000000000000000000"
                    "0000000000000000000000000000000000000000000000000000000000000000"
                    "000000000000000000000000000000000000000000000000000000"
                ),
                "key": "9d23bd4149cb979ccf3c5c94dd217e9808cb0e50cd0f67812235eaaf601d6232",
                "iv": "c047548266b7c370d33566a2425cbf30d82d1eaf5294109e0000000000000000",
                "output": (
                    "a21209096594de8c5667b1d13ad93f744106d054df210e4782cd396fec692d35"
                    "15a20bf351eec011a92c367888bc464c32f0807acd6c203a247e0db854148468"
                    "e9f96bee4cf718d68d5f637cbd5a376457788e6fae90fc31097cfc"
                ),
            },
        ],
        # github.com/google/adiantum.
        "adiantum(xchacha12,aes)": [
            {
                "text": "67c9f23084418e43fbf3b33e79367fe8",
                "key": "9eebb2493c1cf5f46a99c2c4dfb1f4dd752057ea2c4fcdb2a53d7b491eabfd0f",
                "iv": "df63d4abd249f3d8338137607dfa7308d8496d80e82f6254eb0ea9395b457f8a",
                "output": "6d32861867860f3f967c9d280d53ec9f",
            },
            {
                "text": "5ea8681985981223260accdb0a04b9df4db3487bb0e3c819435a4606942df2",
                "key": "362b5797f85dcd995f1a5a441d920f27cc16d72b856399d3ba96a1dbd26068da",
                "iv": "ef5869b12c5e9a4724c1b169e112938f433d6d00db5ed8d9129afed9ff2daac4",
                "output": "c7c6f1738fc4ff4a39be78be8d28c8894663e70c7d87e84ec9187bbe186050",
            },
            {
                "text": (
                    "69b4e88c37e86782f1ec5d04e5149113dff2871b69811d71709e9c3bde497011"
                    "a0a3db0d544f6669d7db80a7709268ce81042cc6abaee56015e96fefaa8fa7a7"
                    "638ff2f077f1a8eae1b71f9eab9e4b3f07875b6fcda8afb9fa700b52b8a8a79e"
                    "075fa60eb39b791379c33e8d1c2c68c8511d3c7b7d79772a5665c5542328b003"
                ),
                "key": "a52824341a3cd8f705918fee851f357f803dfc9b94f6fc9e190900a904314f11",
                "iv": "a1ba4995ff346db8cd875d5efdea85db8a7b5eb25d57dd62aca98c41429475b7",
                "output": (
                    "9e16abed4ba7425ac6fb4e76ffbe03a00fe3adbae4982b0e2148a0b865482748"
                    "845454b29a947be64b29e9cf0591801a3af34196851d9f74515663fa7c288549"
                    "f72ff9f21846f53380a33cceb25793f5aebda9f57b30c49366e0307716e4a031"
                    "ba70bc6813f5b09ac1fc7efe55805c4874a6aaa3acdcc2f58dde34867860758d"
                ),
            },
        ],
        "adiantum(xchacha20,aes)": [
            {
                "text": "67c9f23084418e43fbf3b33e79367fe8",
                "key": "9eebb2493c1cf5f46a99c2c4dfb1f4dd752057ea2c4fcdb2a53d7b491eabfd0f",
                "iv": "df63d4abd249f3d8338137607dfa7308d8496d80e82f6254eb0ea9395b457f8a",
                "output": "f67897d6aa9401272e4d83e06e649adf",
            },
            {
                "text": "5ea8681985981223260accdb0a04b9df4db3487bb0e3c819435a4606942df2",
                "key": "362b5797f85dcd995f1a5a441d920f27cc16d72b856399d3ba96a1dbd26068da",
                "iv": "ef5869b12c5e9a4724c1b169e112938f433d6d00db5ed8d9129afed9ff2daac4",
                "output": "4bb89010df7f64080e14425f007409365772b5fdb55db8280c04911491e937",
            },
            {
                "text": (
                    "69b4e88c37e86782f1ec5d04e5149113dff2871b69811d71709e9c3bde497011"
                    "a0a3db0d544f6669d7db80a7709268ce81042cc6abaee56015e96fefaa8fa7a7"
                    "638ff2f077f1a8eae1b71f9eab9e4b3f07875b6fcda8afb9fa700b52b8a8a79e"
                    "075fa60eb39b791379c33e8d1c2c68c8511d3c7b7d79772a5665c5542328b003"
                ),
                "key": "a52824341a3cd8f705918fee851f357f803dfc9b94f6fc9e190900a904314f11",
                "iv": "a1ba4995ff346db8cd875d5efdea85db8a7b5eb25d57dd62aca98c41429475b7",
                "output": (
                    "b18ba00577a84d591b8e21fc3a49fad4eb36f3c4dfdcae67073f700ee966f50c"
                    "304d66c9a42f739c13c84944cc0a909d7cdd193fea728d58abe7092cecb544d2"
                    "caa62d7a5c9c2b15ec2aa66991f9f313f772c1c140d5e194f429a13e2502a83e"
                    "94c19114a114cbbe674cb938fea7aa3229620db2f63c5857c1d55abbd6a62ae5"
                ),
            },
        ],
        # github.com/google/hctr2.
        "hctr2(aes)": [
            {
                "text": "6575aed3e2bc435cb31ad805c3d05629",
                "key": "e115663c8dc63affef41d747a2cc8aba",
                "iv": "c3be2acbb53986f191ad6cf4de7445635c7ad5cc8b76ef0ecf2c606937fd0796",
                "output": "1191ea7458ccd5a2d0559e3dfe7fc8fe",
            },
            {
                "text": "87038f06a86154da0145d401ef4a22cf78159fbd64bd2cb9401d72ae5363a5",
                "key": "e7d17748760bcd342a2de774ca119cae",
                "iv": "711c4962d95b505e6887bcf689ffed30e4e5bdb6104f9f6628065af42735cde5",
                "output": "4ea10527b845e4a1bb30b4a6127463d617c9cc2f1864e0060aa0ff72107b22",
            },
            {
                "text": (
                    "45df7587bc72ce55c9facbfc9f40822bc64f4f5b8b3b6d67a69362898c19f4e3"
                    "08929cc9472c6ed0a3022bdb2cf28d46cdb09d26634c406b7943e5ce42a8ec3b"
                    "5bd0eaa4e6db66557a76ecab7d2a2bbda9ab22641aa1ae84867967e9b250be12"
                    "2fb214f0db71d8a7418a88a06a6e9d2afa11374032094c47410731853da8f764"
                ),
                "key": "59653b1d435ec0aeb89d9bdd2203bfca",
                "iv": "ec95fa5acf5ed293a3b5e5bef3017b01d1ca6c0682f0bd67d96ca4dcb4380f74",
                "output": (
                    "2d4b9f93ca5a482601cc54e4315012f049ff594268bd878f9e6296cdb92457a4"
                    "0b7bf52e0ea86507ab05d5cae79c6c345d4234a462e975483d9e8ffa42e97508"
                    "4e54912bbd110f8ef082f524f1c4fcae42547fce15a8b233c086b62be844ce1f"
                    "685766946eadebf330f811bd6000c6d54c81f1202b4a5b99793bc95c7423e65d"
                ),
            },
        ],
        # crypto/testmgr.h.
        "pcbc(fcrypt)": [
            {
                "text": "0000000000000000",
                "key": "0000000000000000",
                "iv": "0000000000000000",
                "output": "0e0900c73ef7ed41",
            },
            {
                "text": "123456789abcdef0",
                "key": "114477aadd003366",
                "iv": "0000000000000000",
                "output": "d8ed787477ec0680",
            },
        ],
    },
    "aead": {
        # draft-irtf-cfrg-aegis-aead.
        "aegis128": [
            {
                "text": "",
                "key": "0fc98e67449eaa8620362c24fec93081",
                "iv": "1e921ccf883d540d406d5948fc926103",
                "output": "07a511f29d40b86ddab812344c53d972",
                "tag": 16,
            },
            {
                "text": "79",
                "key": "4bedc807541a52a2a110deb5f8edf387",
                "iv": "5ab7566e98b9fd29c1470bdaf6b62309",
                "output": "9e7852aecb9ee4d39ad75dd7aa9ae95acc",
                "tag": 16,
            },
            {
                "text": "b56eaddd3072fa53828e16b4ed6d47",
                "key": "881201a66496fbbe22ea9047f211b58e",
                "iv": "97db900ea835a5454221bd6bf0dae60f",
                "output": "c38083045faa61c7cadd6fac8508b5352bc23e0b1b39372b7a2116b3e66766",
                "tag": 16,
            },
            {
                "text": "f292e67d40eea36f0368c845e7910a18",
                "key": "c4373b457411a4daa2c542d8ec367894",
                "iv": "d300c9adb8b04e61c3fb6ffdeaffa915",
                "output": "232530e56ab6367d38fd3ad2c258a9111ea8309c16a4db6551101627709b6429",
                "tag": 16,
            },
            {
                "text": "4f",
                "key": "22a67c7f15e63cf0ac4b3786b0a213d2",
                "iv": "316f0be65985e677cc8163abae6b4354",
                "aad": "40",
                "output": "0124b1baf6d3df837045e32a9d5c639839",
                "tag": 16,
            },
            {
                "text": "8b266155f13ee3a18dc86e85a52167",
                "key": "5ecbb61e2562e40c2d25e918aac6d5d8",
                "iv": "6d94448669008f934d5b153ca88f065a",
                "aad": "7c5dd3eead9f391a6d924261a75837",
                "output": "1878c26ee1f7e68aca0e6200a821b5213d36dbf7cc31949c98bd717aefa4fa",
                "tag": 16,
            },
        ],
    },
}
