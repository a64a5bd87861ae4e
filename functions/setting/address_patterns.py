"""The table of addresses that do not belong to one data set: request -> pattern.

Patterns are filled by :meth:`str.format_map` with the fields of :mod:`functions.setting.address_fields`; folders end in
``/``. The addresses of original images, masks and landmarks are in the records of :mod:`functions.setting.data_sets`.
"""

_NEXT = '{AG_next}{type}/{p}/Dsmooth0/DNext{dsmooth}/'
_DSMOOTH = '{AG}{type}/{p}/Dsmooth{dsmooth}/'
_DEFORMED = _DSMOOTH + '{method}_D{num}/'
_SHUFFLED = '{root}Elastix/Artificial_Generation/IShuffled/IShuffled_{data_exps}/'
_SHUFFLED += '{train_mode}_images{n_images}_S{stage}_exp{ishuffled_exp}/'
_SHUFFLED_NAME = 'SemiEpoch{semi_epoch}_Chunk{chunk}.npy'
_INDEX = '{AG}Index_S{stage}/'
_ICLASS_NAME = '{deform_exp}_{type}_cn{cn}_Dsmooth{dsmooth}_{method}_D{num}_M{Margin}_Z{dvf_pad}_Torso{torso}'
_ICLASS_NAME += '_c{lo:.1f}_{hi:.1f}.npy'
_BASE_REG = '{root}Elastix/Registration/{base_reg}/{data}/{as}_{bs}/'
_BSPLINE = '{root}Elastix/Registration/BSpline/{data}/{bspline_folder}/{as}_{bs}/'
_LOG = '{log_root}{sub}/{exp}/'
_MODEL = _LOG + 'train/Model/'
_SAVED = _MODEL + 'Saved/RegNet3DModel.ckpt'
_RESULT = _LOG + 'Results/'
_STEP = _RESULT + '{mode}{stages}step_{step}/'
_LANDMARKS = _STEP + 'Landmarks/'
_FULL_REG = _STEP + 'Registration/{base_reg}/{a}_{b}/'
# Images whose file names begin with the request.
_NEXT_IMAGES = ('NextIm', 'NextLung', 'NextTorso', 'NextDVF', 'NextJac', 'NextBSplineTransformIm')
_DEFORMED_IMAGES = ('DeformedOccluded', 'DeformedArea', 'DeformedTorso', 'DeformedLung', 'DeformedLungOccluded')

#: request -> pattern.
PATTERNS = {
    # registration by elastix
    'ParameterFolder': '{root}Elastix/Registration/Parameter/',
    'BaseRegFolder': _BASE_REG,
    'Reg_BaseReg_OutputPoints': _BASE_REG + 'outputpoints.txt',
    'TransformParameterBaseReg': _BASE_REG + 'TransformParameters.0.txt',
    'MovedImBaseReg': _BASE_REG + 'result.0{S}{ext}',
    'MovedTorsoBaseReg': _BASE_REG + 'MovedTorso{base_reg}{S}{ext}',
    'MovedLungBaseReg': _BASE_REG + 'MovedLung{base_reg}{S}{ext}',
    'BSplineFolder': _BSPLINE,
    'MovedImBSpline': _BSPLINE + 'result.0{ext}',
    'BSplineOutputParameter': _BSPLINE + 'TransformParameters.0.txt',
    'DVFBSpline': _BSPLINE + 'deformationField{ext}',
    'DVFBSpline_Jac': _BSPLINE + 'Jac{ext}',
    'Reg_BSpline_OutputPoints': _BSPLINE + 'outputpoints.txt',
    # artificial generation
    'NextFolder': _NEXT,
    **{name: _NEXT + name + '{S}{P}{ext}' for name in _NEXT_IMAGES},
    'NextBSplineTransform': _NEXT + 'NextBSplineTransform.tfm',
    'DSmoothFolder': _DSMOOTH,
    'DFolder': _DEFORMED,
    'DeformedIm': _DEFORMED + 'DeformedImage{im_ext}{S}{P}{ext}',
    'DeformedDVF': _DEFORMED + 'DeformedDVF_pad{dvf_pad}{S}{P}{ext}',
    'DeformedDVFLabel': _DEFORMED + 'DeformedDVFLabel{thresholds}_pad{dvf_pad}{S}{P}{ext}',
    **{name: _DEFORMED + name + '{S}{P}{ext}' for name in _DEFORMED_IMAGES},
    'BSplineTransformIm': _DEFORMED + 'BSplineTransformIm{S}{P}{ext}',
    'BSplineTransform': _DEFORMED + 'BSplineTransform.tfm',
    'ImCanny': _DEFORMED + 'canny{canny_lower}_{canny_upper}{S}{P}{ext}',
    **{name: _DEFORMED + name + '_s{stage}{P}{ext}' for name in ('MovedIm_AG', 'MovedLung_AG', 'MovedTorso_AG')},
    'Jac': _DEFORMED + 'Jac_pad{dvf_pad}{S}{P}{ext}',
    'DVF_histogram': _DEFORMED + 'DVF_histogram_pad{dvf_pad}{S}{P}.png',
    'Jac_histogram': _DEFORMED + 'Jac_histogram_pad{dvf_pad}{S}{P}.png',
    # sampling of patches
    'IShuffledFolder': _SHUFFLED,
    'IShuffledSetting': _SHUFFLED + 'IShuffled.setting',
    'IShuffledName': _SHUFFLED_NAME,
    'IShuffled': _SHUFFLED + _SHUFFLED_NAME,
    'IndexFolder': _INDEX,
    'IClassFolder': _INDEX + 'IClass/',
    'IClassName': _ICLASS_NAME,
    'IClass': _INDEX + 'IClass/' + _ICLASS_NAME,
    # experiments and their checkpoints
    'log_folder': _LOG,
    'summary_train': _LOG + 'train/',
    'summary_test': _LOG + 'test/',
    'summary_validation': _LOG + 'validation/',
    'ModelFolder': _MODEL,
    'LogFile': _MODEL + 'log.txt',
    'log_im_file': _MODEL + 'log_im.txt',
    'Plots_folder': _MODEL + 'Plots/',
    'saved_model': _SAVED,
    'saved_model_with_step': _SAVED + '-{step}',
    'saved_state_with_step': _SAVED + '-{step}.json',
    'plot_fig': _MODEL + 'Plots/y_{plot_mode}_itr{plot_itr}_dir{plot_i}.png',
    # results of registration
    'result_folder': _RESULT,
    'result_step_folder': _STEP,
    'result_landmarks_folder': _LANDMARKS,
    'landmarks_file': _LANDMARKS + '{exp_name}_{base_reg}-{step}.json',
    'result_detail_folder': _LANDMARKS + '{data_fixed}_TypeIm{t0}_TypeIm{t1}/',
    'full_reg_folder': _FULL_REG,
    'dvf_s0': _FULL_REG + 'DVF_S0{ext}',
    'dvf_s0_jac': _FULL_REG + 'DVF_S0_Jac{ext}',
    'dvf_s0_jac_hist_plot': _FULL_REG + 'DVF_S0_Jac_Hist.png',
    'dvf_s_up': _FULL_REG + 'DVF_S{stage}_up{ext}',
    'error_map': _FULL_REG + 'ErrorMap{ext}',
    'MovedIm': _FULL_REG + 'MovedImage_S{stage}{ext}',
    'MovedLung': _FULL_REG + 'MovedLung_S{stage}{ext}',
    'MovedTorso': _FULL_REG + 'MovedTorso_S{stage}{ext}',
    'dvf_error': _FULL_REG + 'DVF_Error_{base_reg}{ext}',
}

#: Image and masks of an item: the Original ones for dsmooth 0, the Next ones for any other.
BY_DSMOOTH = ('Im', 'Lung', 'Torso')
